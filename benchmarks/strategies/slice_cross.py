"""The cross of ``bar_cross.py`` for all symbols at once: a slice's closes as columns, one call a T.

The same sums in the same order, so the same orders.
"""

import numpy as np

from app.trading.strategy import Context, SliceView, Strategy

FAST, SLOW = 30, 90


class SliceCross(Strategy):
    def on_start(self, ctx: Context) -> None:
        count = len(ctx.symbols)
        self.symbols = ctx.symbols
        self.closes = np.zeros((SLOW, count))  # of each symbol a ring
        self.seen = np.zeros(count, np.int64)
        self.fast, self.slow = np.zeros(count), np.zeros(count)
        self.long = np.zeros(count, bool)

    def on_slice(self, ctx: Context, slice: SliceView) -> None:
        bars = slice.bars()
        who, close = bars.symbol, bars.close
        seen = self.seen[who]
        place = seen % SLOW
        old = self.closes[place, who]  # 0 until 90 have come
        before = np.where(seen >= SLOW, self.closes[(seen - FAST) % SLOW, who], 0.0)
        added = np.where(seen >= SLOW - FAST, close, 0.0)
        fast = self.fast[who] + (added - before)
        slow = self.slow[who] + (close - old)
        self.closes[place, who] = close
        self.seen[who], self.fast[who], self.slow[who] = seen + 1, fast, slow
        turned = who[(seen >= SLOW) & ((fast * SLOW > slow * FAST) != self.long[who])]
        if len(turned):
            self.long[turned] = ~self.long[turned]
            for symbol in turned.tolist():
                ctx.signal(self.symbols[symbol], 1 if self.long[symbol] else 0)
