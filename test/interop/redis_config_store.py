"""Python's RedisConfigStore, for peer.py."""

import sys
from dataclasses import dataclass
from typing import Any

from cledar.redis.model import BaseConfigClass
from cledar.redis.redis_config_store import RedisConfigStore
from redis import Redis

from peer import serve


@dataclass
class Place(BaseConfigClass):
    name: str
    floor: int | None


@dataclass
class Config(BaseConfigClass):
    name: str
    limits: list[float]
    place: Any


class Calls:
    def __init__(self, port: str, prefix: str) -> None:
        client = Redis(host="127.0.0.1", port=int(port))
        self.store = RedisConfigStore(client, prefix=prefix)
        self.events: list[list] = []

    def update(self, key: str, name: str, limits: list[float]) -> None:
        place = Place(name="hall", floor=None)
        self.store[key] = Config(name=name, limits=limits, place=place)

    def fetch(self, key: str) -> dict | None:
        config = self.store.fetch(Config, key)
        return config and vars(config)

    def versions(self, key: str) -> int | None:
        return self.store.versions(key)

    def cached_version(self, key: str) -> int | None:
        return self.store.cached_version(key)

    def delete(self, key: str) -> None:
        del self.store[key]

    def watch(self, key: str) -> None:
        def receive(db: int, key: str, event: str, value: str) -> None:
            self.events.append([event, key, value])

        self.store.watch(key, receive)

    def received_events(self) -> list[list]:
        return self.events

    def is_ready(self) -> bool:
        return self.store.is_ready()


serve(Calls(*sys.argv[1:]))
