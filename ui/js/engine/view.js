// The engine, live: what runs, what waits, who holds which block, how fast tokens come.
import {ApiError, fetchEngine} from '../api.js';
import {element} from '../dom.js';
import {LineChart} from './chart.js';
import {Owners} from './owners.js';
import {PoolPicture} from './pool.js';
import {history, Rate} from './rates.js';
import {sequenceTable} from './sequences.js';

const kPollMs = 1000;

export class EngineView {
  // askForKey() resolves to whether there is a key now.
  constructor(host, askForKey) {
    this.askForKey = askForKey;
    this.owners = new Owners();
    this.rate = new Rate();
    this.tiles = new Map();
    this.pool = new PoolPicture(this.owners);
    this.generated = new LineChart('Generated tokens per second', 'var(--owner-0)');
    this.prompts = new LineChart('Prompt tokens per second', 'var(--owner-1)');
    this.problem = element('div', {class: 'problem', role: 'status', hidden: true});
    this.running = element('div', {class: 'scroll-x'});
    this.waiting = element('div', {class: 'scroll-x'});
    host.append(this.problem, this.tileRow(), this.section('Block pool', this.pool.element),
                this.section('Speed', this.generated.element, this.prompts.element),
                this.section('Running', this.running), this.section('Waiting', this.waiting));
    document.addEventListener('visibilitychange', () => { if (this.abort) this.poll(); });
    new ResizeObserver(() => this.redraw()).observe(host);
  }

  section(title, ...children) {
    return element('section', {}, element('h2', {class: 'section-title'}, title), ...children);
  }

  tileRow() {
    const names = ['Tokens/s', 'KV memory', 'Prefix hits', 'Drafts accepted', 'Running', 'Waiting', 'Preempted'];
    return element('dl', {class: 'tiles'}, ...names.map((name) => {
      const value = element('dd', {class: 'figure'}, '\u2013');
      const note = element('dd', {class: 'note'});
      this.tiles.set(name, {value, note});
      return element('div', {class: 'tile'}, element('dt', {}, name), value, note);
    }));
  }

  start() {
    if (this.abort) return;
    this.abort = new AbortController();
    this.poll();
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
    clearTimeout(this.timer);
  }

  // One look a second, none while nobody can see it.
  async poll() {
    clearTimeout(this.timer);
    const {abort} = this;
    if (document.hidden || !abort) return;
    try {
      const state = await fetchEngine(abort.signal);
      if (abort.signal.aborted) return;
      this.show(state);
      this.problem.hidden = true;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.showProblem(error);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), kPollMs);
  }

  showProblem(error) {
    const message = error instanceof ApiError ? error.message : 'The engine gave something that this page cannot read.';
    if (!this.problem.hidden && this.problem.dataset.message === message) return;
    this.problem.dataset.message = message;
    const enter = element('button', {type: 'button', class: 'button small', click: this.askForKey}, 'Enter the API key');
    this.problem.replaceChildren(element('p', {}, error.status === 401 ? message : `${message} Trying again each second.`),
                                 ...(error.status === 401 ? [enter] : []));
    this.problem.hidden = false;
  }

  show(state) {
    this.state = state;
    this.owners.assign(state.running);
    this.showTiles(state, this.rate.add(performance.now() / 1000, state.totals.generated_tokens));
    this.pool.show(state);
    const series = history(state);
    this.generated.show(series.map((sample) => sample.generated));
    this.prompts.show(series.map((sample) => sample.prompt));
    this.running.replaceChildren(sequenceTable('Running sequences', state.running, this.owners));
    this.waiting.replaceChildren(sequenceTable('Waiting sequences', state.waiting, null));
  }

  showTiles({pool, totals, running, waiting}, rate) {
    const set = (name, value, note) => {
      this.tiles.get(name).value.textContent = value;
      this.tiles.get(name).note.textContent = note;
    };
    const percent = (part, whole) => whole > 0 ? `${Math.round((100 * part) / whole)} %` : '\u2013';
    const count = (number) => number.toLocaleString('en');
    set('Tokens/s', rate === null ? '\u2013' : rate.toFixed(rate < 10 ? 1 : 0), `${count(totals.generated_tokens)} in all`);
    set('KV memory', percent(pool.used, pool.blocks), `${count(pool.used)} of ${count(pool.blocks)} blocks`);
    set('Prefix hits', percent(totals.cached_tokens, totals.prompt_tokens), `${count(totals.cached_tokens)} tokens saved`);
    set('Drafts accepted', percent(totals.accepted, totals.drafted), `${count(totals.accepted)} of ${count(totals.drafted)} tokens`);
    set('Running', count(running.length), running.length === 1 ? 'sequence' : 'sequences');
    set('Waiting', count(waiting.length), waiting.length === 1 ? 'sequence' : 'sequences');
    set('Preempted', count(totals.preemptions), totals.preemptions === 1 ? 'time' : 'times');
  }

  redraw() {
    if (!this.state || !this.abort) return;
    this.pool.draw();
    this.generated.draw();
    this.prompts.draw();
  }
}
