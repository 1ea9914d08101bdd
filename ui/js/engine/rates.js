// Tokens per second, from what the engine counts.
const kWindowSeconds = 5;
const kHistorySeconds = 300;

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

// The last minutes of what GET /engine says, a sample each second, oldest first. The engine keeps one
// for each second in which it did something; those between are zeros.
export function history({throughput, second}) {
  const series = Array.from({length: kHistorySeconds}, () => ({generated: 0, prompt: 0}));
  for (const sample of throughput) {
    const at = kHistorySeconds - 1 - (second - sample.second);
    if (at >= 0 && at < kHistorySeconds) series[at] = {generated: sample.generated_tokens, prompt: sample.prompt_tokens};
  }
  series.pop();  // the second that has not ended
  return series;
}
