# spocdb with what it needs. PyPI's torch brings the CUDA libraries; a host with a GPU has its driver only.
# For hosts without one, an image of a fifth of the size:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
FROM python:3.12-slim AS build

ARG TORCH_INDEX=
ENV PIP_CACHE_DIR=/var/cache/pip

RUN python -m venv /opt/spocdb
ENV PATH=/opt/spocdb/bin:$PATH

# Before the code: this layer is gigabytes and is kept when the code changes.
RUN --mount=type=cache,target=/var/cache/pip pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY spocdb spocdb
COPY cli cli
COPY migrations migrations
RUN --mount=type=cache,target=/var/cache/pip pip install '.[cloud,web]'

FROM python:3.12-slim

RUN useradd --uid=1000 --create-home spocdb && install --directory --owner=spocdb /home/spocdb/.cache
COPY --from=build /opt/spocdb /opt/spocdb
ENV PATH=/opt/spocdb/bin:$PATH

USER spocdb
WORKDIR /home/spocdb
ENTRYPOINT ["spocdb"]
