// Tokens per second, from what the engine counts.
const kWindowSeconds = 5;
export const kHistorySeconds = 300;

// The mean over the last seconds of a counter that only grows.
export class Rate {
  constructor() {
    this.points = [];
  }

  add(now, total) {
    if (this.points.length && total < this.points.at(-1).total) this.points = [];  // another server
    this.points.push({now, total});
    while (this.points.length > 2 && this.points[0].now < now - kWindowSeconds) this.points.shift();
    const first = this.points[0];
    return now - first.now > 0.5 ? (total - first.total) / (now - first.now) : null;
  }
}

// The engine keeps a sample for each second in which it did something. This fills the seconds between
// with zeros, up to now.
export class History {
  constructor() {
    this.offset = null;  // server's second = ours + offset
  }

  // The last minutes, a sample each second, oldest first.
  series(now, {throughput, second}) {
    const last = throughput.at(-1)?.second ?? 0;
    const serverNow = this.serverSecond(now, second, last);
    const series = Array.from({length: kHistorySeconds}, () => ({generated: 0, prompt: 0}));
    for (const sample of throughput) {
      const at = kHistorySeconds - 1 - (serverNow - sample.second);
      if (at >= 0 && at < kHistorySeconds) series[at] = {generated: sample.generated_tokens, prompt: sample.prompt_tokens};
    }
    series.pop();  // the second that has not ended
    return series;
  }

  // A server that does not tell its time is as old as its newest sample has ever shown.
  serverSecond(now, told, last) {
    if (Number.isFinite(told)) return told;
    if (this.last > last) this.offset = null;  // another server
    this.last = last;
    this.offset = Math.max(this.offset ?? -Infinity, last - now);
    return Math.floor(now + this.offset);
  }
}
