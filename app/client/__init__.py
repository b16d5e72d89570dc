"""The Python client of a Tapedeck server.

    from app.client import Tapedeck

    with Tapedeck("http://127.0.0.1:8000") as deck:
        deck.start(["AIG", "BAC"], "2013-10-07", "2013-10-08", speed=0, start_paused=True)
        with deck.stream("bars_1m") as stream:
            deck.resume()
            for message in stream:  # every slice, to the session's end
                ...
        frame = deck.bars("AIG", "5m").to_pandas()

``AsyncTapedeck`` has the same calls, to be awaited. Light: neither pandas nor calendars
are imported, and Arrow with the first table only.
"""

from app.client.answers import (
    Bar,
    Catalog,
    Clock,
    Command,
    Data,
    Day,
    DayRecord,
    Days,
    Extent,
    Gap,
    Plan,
    PlannedDay,
    Progress,
    Quality,
    Quote,
    Session,
    StreamInfo,
    Streams,
    SymbolData,
    Trade,
)
from app.client.http import AsyncTapedeck, Tapedeck
from app.client.messages import End, Error, Hello, Message, Row, Slices, Snapshot, Status
from app.client.problems import (
    ConnectionProblem,
    ServerProblem,
    StreamClosedProblem,
    StreamHoleProblem,
)
from app.client.run_answers import Configs, DayResult, EquityCurve, Run, RunDetail, Runs
from app.client.sockets import AsyncStream, Stream
from app.client.trading_answers import (
    Account,
    Fill,
    Fills,
    Order,
    OrderAnswer,
    Orders,
    OrderStep,
    Position,
    Positions,
    Reason,
    Signal,
    Signals,
    Why,
)

__all__ = [
    "Account",
    "AsyncStream",
    "AsyncTapedeck",
    "Bar",
    "Catalog",
    "Clock",
    "Command",
    "Configs",
    "ConnectionProblem",
    "Data",
    "Day",
    "DayRecord",
    "DayResult",
    "Days",
    "End",
    "EquityCurve",
    "Error",
    "Extent",
    "Fill",
    "Fills",
    "Gap",
    "Hello",
    "Message",
    "Order",
    "OrderAnswer",
    "OrderStep",
    "Orders",
    "Plan",
    "PlannedDay",
    "Position",
    "Positions",
    "Progress",
    "Quality",
    "Quote",
    "Reason",
    "Row",
    "Run",
    "RunDetail",
    "Runs",
    "ServerProblem",
    "Session",
    "Signal",
    "Signals",
    "Slices",
    "Snapshot",
    "Status",
    "Stream",
    "StreamClosedProblem",
    "StreamHoleProblem",
    "StreamInfo",
    "Streams",
    "SymbolData",
    "Tapedeck",
    "Trade",
    "Why",
]
