"""What Lean's sale conditions say about a trade.

Lean writes the conditions of a trade as a hexadecimal bit mask. The bits are those of
the enumeration TradeConditionFlags in QuantConnect/Lean,
Common/Data/Auxiliary/TradeConditionFlags.cs. What each condition may update follows
the consolidated processing of the two US tapes: CTA's and UTP's sale condition
matrices (UTP Participant Trade Line Specification; in brief at
polygon.io/glossary/us/stocks/conditions-indicators; odd lots: UTP Vendor Alert
2013-11; contingent trades: UTP Vendor Alert 2015-4).

| bit | condition | last | high, low | volume |
|---|---|---|---|---|
| 1, 2, 22 | cash, next day, price variation | no | no | yes |
| 18, 20, 31 | stock-option (contingent), average price, odd lot | no | no | yes |
| 14 | out of sequence, alone (extended hours, reported late) | no | no | yes |
| 10, 13 | Form T, extended hours, within the regular session | no | no | yes |
| 3, 9, 11, 25 | seller, derivatively priced, sold, prior reference price | no | yes | yes |
| 24, 26 | a market centre's official close, official open | no | no | no |
| all others | regular, sweep, opening, closing, cross, ... | yes | yes | yes |

The tapes let some of these update last where the trade is the first of its day; that
is not followed. Two deviations: extended-hours trades outside the regular session are
the trading of those hours and count there; and bits 11 and 14 together are "sold, out
of sequence", which updates high and low, while 14 with 13 does not. A suspicious
trade updates nothing. ``auction`` marks opening prints (bit 6) and closing prints
(bit 7); official prices repeat a trade that is in the data already and carry no mark.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.catalog.importers.cast import Mask
from app.model import Ints

CASH, NEXT_DAY, SELLER = 1 << 1, 1 << 2, 1 << 3
OPENING_PRINTS, CLOSING_PRINTS = 1 << 6, 1 << 7
DERIVATIVELY_PRICED, FORM_T, SOLD = 1 << 9, 1 << 10, 1 << 11
EXTENDED_HOURS, OUT_OF_SEQUENCE = 1 << 13, 1 << 14
STOCK_OPTION, AVERAGE_PRICE, PRICE_VARIATION = 1 << 18, 1 << 20, 1 << 22
OFFICIAL_CLOSE, PRIOR_REFERENCE_PRICE, OFFICIAL_OPEN = 1 << 24, 1 << 25, 1 << 26
ODD_LOT = 1 << 31

_OFFICIAL = OFFICIAL_CLOSE | OFFICIAL_OPEN
_VOLUME_ONLY = (
    CASH | NEXT_DAY | PRICE_VARIATION | STOCK_OPTION | AVERAGE_PRICE | ODD_LOT | _OFFICIAL
)
_NOT_LAST = _VOLUME_ONLY | SELLER | DERIVATIVELY_PRICED | SOLD | PRIOR_REFERENCE_PRICE
_EXTENDED = FORM_T | EXTENDED_HOURS
_MASK_DIGITS = r"^[0-9A-Fa-f]{1,15}$"


class Eligibility(NamedTuple):
    """What each trade updates, its auction mark, and where the conditions are no bit mask."""

    last: Mask
    high_low: Mask
    volume: Mask
    auction: pa.Array
    unreadable: Mask


def trade_eligibility(
    conditions: pa.Array, ts: Ints, suspicious: Mask, session: tuple[int, int] | None
) -> Eligibility:
    """Read a column of conditions; ``session`` is the day's regular open and close."""
    texts = pc.fill_null(conditions, "0").dictionary_encode()
    known = texts.dictionary
    readable = pc.match_substring_regex(known, _MASK_DIGITS).to_numpy(zero_copy_only=False)
    masks = [
        int(word, 16) if ok else 0 for word, ok in zip(known.to_pylist(), readable, strict=True)
    ]
    places = texts.indices.to_numpy()
    flags: Ints = np.array(masks, np.int64)[places]
    opens, closes = session or (0, 0)
    late = _has(flags, _EXTENDED) & (ts >= opens) & (ts < closes)
    late |= _has(flags, OUT_OF_SEQUENCE) & (_has(flags, _EXTENDED) | ~_has(flags, SOLD))
    sound = ~suspicious
    auction = np.where(_has(flags, OPENING_PRINTS), "open", "close")
    no_auction = ~_has(flags, OPENING_PRINTS | CLOSING_PRINTS)
    return Eligibility(
        sound & ~late & ~_has(flags, _NOT_LAST | OUT_OF_SEQUENCE),
        sound & ~late & ~_has(flags, _VOLUME_ONLY),
        sound & ~_has(flags, _OFFICIAL),
        pa.array(auction, pa.string(), mask=no_auction),
        ~readable.astype(bool)[places],
    )


def _has(flags: Ints, mask: int) -> Mask:
    found: Mask = (flags & mask) != 0
    return found
