"""The peer of `spocdb serve`: the script of sixty lines that one writes instead.

    python -m benchmarks.plain_server URL TABLE

FastAPI, pgvector, and the same network in torch: a picture is resized, described and projected with
NumPy, and the nearest rows come from `ORDER BY embedding <#> query`, in the half precision of the
index.
"""

import io
import sys
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, Request
from pgvector import Vector
from pgvector.psycopg import register_vector
from PIL import Image
from psycopg_pool import ConnectionPool
from torch.nn import functional

from spocdb.features.backbones.mini import WEIGHTS, network

SIZE, DIM, K = 256, 256, 10
# Another expression than the index's would be computed for every row.
DISTANCE = f"embedding::halfvec({DIM}) <#> %s::halfvec({DIM})"
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def create(url: str, table: str) -> FastAPI:
    """Return the script's application."""
    from safetensors.torch import load_file

    trunk = network().eval()
    trunk.load_state_dict(load_file(WEIGHTS), strict=False)
    components = np.random.default_rng(0).normal(size=(DIM, DIM)).astype(np.float32)
    pool = ConnectionPool(url, configure=register_vector, max_size=10, open=True)
    app = FastAPI()

    def nearest(embedding: np.ndarray[Any, Any]) -> dict[str, Any]:
        statement = f"SELECT image_id FROM spocdb.{table} ORDER BY {DISTANCE} LIMIT %s"
        with pool.connection() as connection:
            rows = connection.execute(statement, [Vector(embedding), K]).fetchall()
        return {"hits": [id for (id,) in rows]}

    def describe(data: bytes) -> dict[str, Any]:
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE))
        pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255
        with torch.inference_mode():
            raw = functional.normalize(trunk(((pixels - MEAN) / STD)[None]).sum((2, 3)))[0].numpy()
        embedding = components @ raw
        return nearest(embedding / np.linalg.norm(embedding))

    @app.post("/search")
    async def search(request: Request) -> dict[str, Any]:
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(describe, await request.body())

    @app.get("/similar")
    def similar(id: int) -> dict[str, Any]:
        with pool.connection() as connection:
            statement = f"SELECT embedding FROM spocdb.{table} WHERE image_id = %s"
            (found,) = connection.execute(statement, [id]).fetchone() or (None,)
        return nearest(np.asarray(found.to_numpy() if isinstance(found, Vector) else found))

    return app


if __name__ == "__main__":
    uvicorn.run(create(*sys.argv[1:3]), port=int(sys.argv[3]), log_level="error")
