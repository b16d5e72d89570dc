// Work that is asked for often and done seldom.

/** Runs `work` at once, and again at most every `pauseMs` after its end; the last wish counts. */
export class Calm {
  private busy = false;
  private wanted = false;
  private timer: number | undefined;

  constructor(
    private readonly work: () => Promise<void>,
    private readonly pauseMs: number,
  ) {}

  ask(): void {
    if (this.busy) {
      this.wanted = true;
      return;
    }
    this.busy = true;
    void this.work().finally(() => {
      this.timer = window.setTimeout(() => this.rest(), this.pauseMs);
    });
  }

  stop(): void {
    window.clearTimeout(this.timer);
    this.busy = this.wanted = false;
  }

  private rest(): void {
    this.busy = false;
    if (this.wanted) {
      this.wanted = false;
      this.ask();
    }
  }
}

/** Listeners of one kind of news. */
export class News<T> {
  private readonly listeners = new Set<(news: T) => void>();

  on(listener: (news: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  tell(news: T): void {
    for (const listener of this.listeners) listener(news);
  }
}
