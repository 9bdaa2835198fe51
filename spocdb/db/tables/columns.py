"""Kinds of columns that the tables share."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="spocdb")


def id_column() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def text_column(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def number_column(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def big_column(name: str, *constraints: ForeignKey) -> Column[int]:
    return Column(name, BigInteger, *constraints, nullable=False)


def now_column(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def json_column(name: str, default: str | None = None) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=default)


def part_of(whole: str, *, primary_key: bool = False) -> Column[int]:
    there = ForeignKey(f"spocdb.{whole}s.id", ondelete="CASCADE")
    return Column(f"{whole}_id", BigInteger, there, nullable=False, primary_key=primary_key)
