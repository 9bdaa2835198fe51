# The worker. The torch wheel brings the CUDA libraries, the host only its driver.
FROM python:3.12-slim

ENV PIP_CACHE_DIR=/var/cache/pip

RUN useradd --create-home spocdb && install --directory --owner=spocdb /home/spocdb/.cache

# Apart from the code: this layer is gigabytes and outlives changes of the code.
RUN --mount=type=cache,target=/var/cache/pip pip install torch torchvision

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY spocdb spocdb
COPY cli cli
COPY migrations migrations
RUN --mount=type=cache,target=/var/cache/pip pip install .

USER spocdb
WORKDIR /home/spocdb
ENTRYPOINT ["spocdb"]
