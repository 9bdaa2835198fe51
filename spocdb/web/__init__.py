"""The HTTP service and its page: FastAPI on top of the API; needs the extra `spocdb[web]`."""
