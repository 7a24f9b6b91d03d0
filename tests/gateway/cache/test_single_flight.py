import asyncio

from gateway.cache.single_flight import SingleFlight, Turn

LONG = 60.0


async def followers(flights: SingleFlight[str], count: int) -> list[asyncio.Task[str | Turn]]:
    """So many that wait already."""
    flight = flights.find(b"k")
    assert flight is not None
    tasks = [asyncio.create_task(flight.follow(LONG)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_get_what_the_first_got() -> None:
    flights = SingleFlight[str]()
    flight = flights.begin(b"k")
    waiting = await followers(flights, 3)
    flight.land("answer")
    assert await asyncio.gather(*waiting) == ["answer"] * 3
    assert flights.find(b"k") is None


async def test_a_leader_that_fails_sends_each_on_alone() -> None:
    flights = SingleFlight[str]()
    flight = flights.begin(b"k")
    waiting = await followers(flights, 2)
    flight.land(None)
    assert await asyncio.gather(*waiting) == [Turn.ALONE] * 2
    assert not len(flights)


async def test_a_leader_that_leaves_is_followed_by_the_next() -> None:
    flights = SingleFlight[str]()
    flight = flights.begin(b"k")
    first, second = await followers(flights, 2)
    flight.leave()
    assert await first is Turn.LEAD
    assert not second.done()
    [third] = await followers(flights, 1)  # the flight goes on
    flight.land("answer")
    assert (await second, await third) == ("answer", "answer")
    assert not len(flights)


async def test_the_last_to_leave_ends_it() -> None:
    flights = SingleFlight[str]()
    flights.begin(b"k").leave()
    assert not len(flights)


async def test_a_follower_that_leaves_is_forgotten() -> None:
    flights = SingleFlight[str]()
    flight = flights.begin(b"k")
    first, second = await followers(flights, 2)
    first.cancel()
    await asyncio.sleep(0)
    flight.leave()
    assert await second is Turn.LEAD
    assert first.cancelled()


async def test_one_that_leaves_just_as_it_is_to_lead_hands_it_on() -> None:
    flights = SingleFlight[str]()
    flight = flights.begin(b"k")
    first, second = await followers(flights, 2)
    flight.leave()
    first.cancel()  # before it has run again
    assert await second is Turn.LEAD
    assert first.cancelled()


async def test_nobody_waits_for_ever() -> None:
    flights = SingleFlight[str]()
    flight = flights.begin(b"k")
    assert await flight.follow(0.001) is Turn.ALONE
    flight.land("late")  # there is nobody to tell any more
    assert not len(flights)


async def test_a_flight_that_landed_leaves_a_later_one_of_its_key_alone() -> None:
    flights = SingleFlight[str]()
    old = flights.begin(b"k")
    old.land(None)
    new = flights.begin(b"k")
    old.land("late")
    assert flights.find(b"k") is new
