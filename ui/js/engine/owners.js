// Which colour belongs to which running sequence. It keeps it while it runs.
const kColours = 8;

export class Owners {
  constructor() {
    this.slots = new Map();  // sequence id -> 0, 1, ...
  }

  assign(sequences) {
    const ids = new Set(sequences.map((sequence) => sequence.id));
    for (const id of this.slots.keys()) if (!ids.has(id)) this.slots.delete(id);
    const taken = new Set(this.slots.values());
    let free = 0;
    for (const id of ids) {
      if (this.slots.has(id)) continue;
      while (taken.has(free)) ++free;
      taken.add(free);
      this.slots.set(id, free);
    }
  }

  // A CSS class with the colour; beyond eight sequences colours repeat.
  className(id) {
    return `owner-${(this.slots.get(id) ?? 0) % kColours}`;
  }
}
