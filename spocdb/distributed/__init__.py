"""Ingesting on a cluster: its nodes read, describe and write what one process lists.

list (units.py, cluster.py) -> Ray (ray.py) -> actors, the one pipeline (actor.py) -> database
"""
