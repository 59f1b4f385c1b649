"""Python's RedisService, for peer.py."""

import sys
from datetime import datetime, timezone
from enum import Enum, IntEnum

from cledar.redis import FailedValue, RedisService, RedisServiceConfig
from pydantic import BaseModel

from peer import serve


class Mode(Enum):
    FAST = "fast"
    VERY_FAST = "very_fast"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Place(BaseModel):
    name: str
    floor: int | None


class Reading(BaseModel):
    id: str
    mode: Mode
    level: Level
    at: datetime
    seen: datetime
    place: Place
    values: list[float]
    ok: bool


class Calls:
    def __init__(self, port: str) -> None:
        self.service = RedisService(
            RedisServiceConfig(redis_host="127.0.0.1", redis_port=int(port))
        )

    def set_reading(self, key: str) -> bool:
        reading = Reading(
            id="å\u2028\U0001f600",
            mode=Mode.VERY_FAST,
            level=Level.HIGH,
            at=datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=timezone.utc),
            seen=datetime(2026, 11, 21, 12, 0, 0),
            place=Place(name="hall", floor=None),
            values=[1.0, -0.5, 1e300],
            ok=True,
        )
        return self.service.set(key, reading)

    def get_reading(self, key: str) -> dict | None:
        reading = self.service.get(key, Reading)
        if reading is None:
            return None
        return {
            **reading.model_dump(mode="json", exclude={"mode", "at"}),
            "mode": reading.mode.name,
            "at": reading.at.timestamp(),
        }

    def set(self, key: str, value: object) -> bool:
        return self.service.set(key, value)

    def set_modes(self, key: str) -> bool:
        return self.service.set(key, {"modes": [Mode.FAST, Mode.VERY_FAST]})

    def get_raw(self, key: str) -> str | None:
        return self.service.get_raw(key)

    def list_keys(self, pattern: str) -> list[str]:
        return sorted(self.service.list_keys(pattern))

    def mget_places(self, keys: list[str]) -> list:
        found = self.service.mget(keys, Place)
        return [
            {"failed": value.key}
            if isinstance(value, FailedValue)
            else value and value.model_dump()
            for value in found
        ]

    def delete(self, key: str) -> bool:
        return self.service.delete(key)


serve(Calls(*sys.argv[1:]))
