"""Commands of several controllers at once: each is answered, once, whole, in one order for all."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.small_catalog import build
from tests.api.talk import START
from tests.api.trading_place import Place
from tests.conftest import StartServer

CONTROLLERS, COMMANDS = 8, 25
TIMES = ("2013-10-07T13:40:00Z", "2013-10-07T14:05:00Z", "2013-10-08T13:35:00Z")
Answers = list[tuple[dict[str, Any], httpx.Response]]


def some_command(dice: random.Random) -> dict[str, Any]:
    """A request of any command, as keywords of httpx."""
    step = {"unit": dice.choice(["slice", "bar"]), "count": dice.randint(1, 9)}
    commands: list[dict[str, Any]] = [
        {"method": "POST", "url": "/session/pause"},
        {"method": "POST", "url": "/session/resume"},
        {"method": "PATCH", "url": "/session", "json": {"speed": dice.choice([0, 60, 1e6])}},
        {"method": "POST", "url": "/session/step", "json": step},
        {"method": "POST", "url": "/session/seek", "json": {"time": dice.choice(TIMES)}},
        {"method": "POST", "url": "/session/run-to", "json": {"time": dice.choice(TIMES)}},
    ]
    return dice.choices(commands, [4, 3, 4, 3, 1, 1])[0]


def flood(url: str, seed: int) -> Answers:
    """Controllers that all command the session as fast as they are answered."""

    async def control(number: int) -> Answers:
        dice = random.Random(seed * 1000 + number)
        async with httpx.AsyncClient(base_url=url + "/api/v1", timeout=60) as client:
            commands = [some_command(dice) for _ in range(COMMANDS)]
            return [(one, await client.request(**one)) for one in commands]

    async def all_of_them() -> Answers:
        found = await asyncio.gather(*(control(number) for number in range(CONTROLLERS)))
        return [answer for answers in found for answer in answers]

    return asyncio.run(all_of_them())


def check(answers: Answers) -> list[dict[str, Any]]:
    """Every one was answered well or with a reason; the good ones in the order of their numbers."""
    done = []
    for asked, answer in answers:
        assert answer.status_code in (200, 409, 422), (asked, answer.text)
        if answer.status_code == 200:
            done.append(answer.json() | {"asked": asked})
        elif answer.status_code == 409:
            assert answer.json()["state"] in ("RUNNING", "PAUSED", "COMPLETED"), answer.text
        else:
            assert "past" in answer.json()["detail"] or "ahead" in answer.json()["detail"]
    return sorted(done, key=lambda body: body["command"]["number"])


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("flood"), minutes=60)


@pytest.mark.parametrize("seed", range(3))
def test_a_flood_of_all_commands(server: StartServer, catalog: Path, seed: int) -> None:
    url = server(catalog)
    with httpx.Client(base_url=url + "/api/v1", timeout=60) as client:
        client.post("/session", json=START | {"start_paused": True}).raise_for_status()
        done = check(flood(url, seed))
        numbers = [body["command"]["number"] for body in done]
        assert len(set(numbers)) == len(numbers), "no two were carried out as one"
        assert len(done) > CONTROLLERS
        client.post("/session/seek", json={"time": TIMES[0]}).raise_for_status()
        client.post("/session/seek", json={"time": TIMES[1]}).raise_for_status()
        digest = client.get("/session").json()["digest"]
        client.post("/session/stop").raise_for_status()
        client.post("/session", json=START | {"start_paused": True}).raise_for_status()
        straight = client.post("/session/seek", json={"time": TIMES[1]}).json()
        assert digest == straight["digest"], "what was commanded before left nothing behind"


def test_commands_take_effect_in_the_order_of_their_numbers(
    server: StartServer, catalog: Path
) -> None:
    """Without a seek time never goes back: neither does it from one number to the next."""
    url = server(catalog)

    async def control(number: int) -> list[dict[str, Any]]:
        dice = random.Random(number)
        found = []
        async with httpx.AsyncClient(base_url=url + "/api/v1", timeout=60) as client:
            for _ in range(COMMANDS):
                body = {"speed": dice.choice([0.0, 1.0, 60.0, 600.0])}
                answer = await client.patch("/session", json=body)
                found.append(answer.json() | {"asked": body})
        return found

    async def all_of_them() -> list[dict[str, Any]]:
        return [
            a for found in await asyncio.gather(*map(control, range(CONTROLLERS))) for a in found
        ]

    with httpx.Client(base_url=url + "/api/v1", timeout=60) as client:
        client.post("/session", json=START | {"speed": 60}).raise_for_status()
        client.post("/session/pause").raise_for_status()
        found = sorted(asyncio.run(all_of_them()), key=lambda body: body["command"]["number"])
        numbers = [body["command"]["number"] for body in found]
        assert numbers == list(range(numbers[0], numbers[0] + CONTROLLERS * COMMANDS))
        effects = [(body["command"]["time"], body["command"]["seq"]) for body in found]
        assert effects == sorted(effects)
        last = client.get("/session").json()["speed"]
        assert last == found[-1]["asked"]["speed"], "the last one stands"


def test_a_flood_of_orders_loses_none_and_doubles_none(place: Place) -> None:
    place.begin()
    place.step(5)
    url = str(place.http.base_url)

    async def trade(number: int) -> list[str]:
        found: list[str] = []
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for count in range(10):
                body: dict[str, Any] = {
                    "symbol": "BAC", "side": "buy", "quantity": 1, "type": "limit",
                    "limit_price": 1, "tif": "gtc", "tag": f"{number}-{count}",
                }  # fmt: skip
                headers = {"Idempotency-Key": f"{number}-{count}"}
                answers = await asyncio.gather(
                    *(client.post("/session/orders", json=body, headers=headers) for _ in range(3))
                )
                ids = {answer.json()["order"]["id"] for answer in answers}
                assert len(ids) == 1, "one key is one order, however often it comes"
                found += ids
                if count % 2:
                    cancelled = await client.delete(f"/session/orders/{found[-1]}")
                    assert cancelled.json()["order"]["state"] == "cancelled"
        return found

    async def all_of_them() -> list[str]:
        return [i for ids in await asyncio.gather(*map(trade, range(CONTROLLERS))) for i in ids]

    sent = asyncio.run(all_of_them())
    orders = place.get("/orders", strategy="manual")["orders"]
    assert len(set(sent)) == CONTROLLERS * 10
    assert {order["id"] for order in orders} == set(sent)
    assert {order["tag"] for order in orders} == {
        f"{number}-{count}" for number in range(CONTROLLERS) for count in range(10)
    }
    states = [order["state"] for order in orders]
    assert (states.count("working"), states.count("cancelled")) == (CONTROLLERS * 5,) * 2
