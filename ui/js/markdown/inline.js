// Markdown within a block: text in, plain objects out. No DOM here.
//
// A stack of open marks: `*a [b` has the frames `*` and `[`. A mark that finds its partner becomes a
// node with what came in between; one that does not was text after all. Every mark is pushed and
// taken off once, so time is linear.
import {linkTarget, parseDestination, trimBareUrl} from './links.js';

const kPlain = /[^\\`*_~[\]!<&\nh]+/y;
const kBareUrl = /https?:\/\/[^\s<>"`]{1,2000}/y;
const kAngleUrl = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/y;
const kLineBreak = /<br ?\/?>/iy;
const kEntity = /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-z]{2,6}));/y;
const kEntities = {amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0'};
const kPunctuation = /[\p{P}\p{S}]/u;
const kEscapable = /[!-/:-@[-`{-~]/;

// Returns a list of {type: 'text' | 'code', text}, {type: 'break'},
// {type: 'strong' | 'emphasis' | 'deleted', children}, {type: 'link', url, children},
// {type: 'image', url, children}. A `url` is one that linkTarget() allows.
export function parseInline(text) {
  return new InlineParser(text).parse();
}

class InlineParser {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.stack = [{children: []}];
    this.openers = {'*': [], _: [], '~': [], '[': []};  // the frames of each mark that may still close
    this.codeRuns = null;
  }

  parse() {
    while (this.at < this.text.length) this.step();
    this.flatten(0);
    return this.stack[0].children;
  }

  step() {
    const plain = this.match(kPlain);
    if (plain) {
      this.pushText(plain[0]);
      return;
    }
    const mark = this.text[this.at];
    if (mark === '\\') this.escape();
    else if (mark === '`') this.code();
    else if (mark === '*' || mark === '_' || mark === '~') this.emphasis(mark);
    else if (mark === '\n') this.lineBreak(1);
    else if (mark === '[') this.open('[', 1);
    else if (mark === '!' && this.text[this.at + 1] === '[') this.open('![', 2);
    else if (mark === ']') this.closeBracket();
    else if (!this.special(mark)) this.pushText(this.text[this.at++]);
  }

  match(expression) {
    expression.lastIndex = this.at;
    const match = expression.exec(this.text);
    if (match) this.at += match[0].length;
    return match;
  }

  push(node) {
    this.stack.at(-1).children.push(node);
  }

  pushText(text) {
    const last = this.stack.at(-1).children.at(-1);
    if (last?.type === 'text') last.text += text;
    else this.push({type: 'text', text});
  }

  // Moves what the frames above `index` hold into that frame: their marks were text.
  flatten(index) {
    for (const frames of Object.values(this.openers)) {
      while (frames.length && frames.at(-1).index > index) frames.pop();
    }
    const above = this.stack.splice(index + 1);
    for (const frame of above) {
      this.pushText(frame.char === '[' ? frame.mark : frame.char.repeat(frame.count));
      for (const child of frame.children) {
        if (child.type === 'text') this.pushText(child.text);
        else this.push(child);
      }
    }
  }

  openFrame(frame) {
    frame.index = this.stack.length;
    frame.children = [];
    this.stack.push(frame);
    this.openers[frame.char].push(frame);
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === '\n') {
      this.lineBreak(2);
    } else if (next !== undefined && kEscapable.test(next)) {
      this.pushText(next);
      this.at += 2;
    } else {
      this.pushText('\\');
      ++this.at;
    }
  }

  // A line break of the model's is one for the reader, as in chats.
  lineBreak(length) {
    this.push({type: 'break'});
    this.at += length;
    while (this.text[this.at] === ' ') ++this.at;
  }

  code() {
    const length = this.runLength('`');
    const end = this.nextCodeRun(length, this.at + length);
    if (end < 0) {
      this.pushText('`'.repeat(length));
      this.at += length;
      return;
    }
    let code = this.text.slice(this.at + length, end).replaceAll('\n', ' ');
    if (code.startsWith(' ') && code.endsWith(' ') && code.trim() !== '') code = code.slice(1, -1);
    this.push({type: 'code', text: code});
    this.at = end + length;
  }

  // Where the next run of exactly `length` backticks begins; -1: nowhere.
  nextCodeRun(length, from) {
    if (!this.codeRuns) {
      this.codeRuns = new Map();
      for (const run of this.text.matchAll(/`+/g)) {
        if (!this.codeRuns.has(run[0].length)) this.codeRuns.set(run[0].length, {starts: [], next: 0});
        this.codeRuns.get(run[0].length).starts.push(run.index);
      }
    }
    const runs = this.codeRuns.get(length);
    while (runs && runs.next < runs.starts.length && runs.starts[runs.next] < from) ++runs.next;
    return runs?.starts[runs.next] ?? -1;
  }

  runLength(char) {
    let length = 1;
    while (this.text[this.at + length] === char) ++length;
    return length;
  }

  emphasis(char) {
    let count = this.runLength(char);
    const {opens, closes} = this.flanks(char, count);
    this.at += count;
    if (char === '~' && count !== 2) {
      this.pushText(char.repeat(count));
      return;
    }
    while (closes && count > 0 && this.openers[char].length) count -= this.closeEmphasis(char, count);
    if (count === 0) return;
    if (opens) this.openFrame({char, count});
    else this.pushText(char.repeat(count));
  }

  // Closes the nearest open mark with up to two characters, and returns how many.
  closeEmphasis(char, count) {
    const frame = this.openers[char].at(-1);
    this.flatten(frame.index);
    const used = Math.min(2, frame.count, count);
    const type = char === '~' ? 'deleted' : used === 2 ? 'strong' : 'emphasis';
    frame.children = [{type, children: frame.children}];
    frame.count -= used;
    if (frame.count === 0) this.replaceTop(frame.children[0]);
    return used;
  }

  // The frame on top of the stack becomes `node`.
  replaceTop(node) {
    const frame = this.stack.pop();
    const frames = this.openers[frame.char];
    if (frames.at(-1) === frame) frames.pop();
    this.push(node);
  }

  flanks(char, count) {
    const before = this.text[this.at - 1] ?? ' ', after = this.text[this.at + count] ?? ' ';
    const spaceBefore = /\s/.test(before), spaceAfter = /\s/.test(after);
    const markBefore = kPunctuation.test(before), markAfter = kPunctuation.test(after);
    const left = !spaceAfter && (!markAfter || spaceBefore || markBefore);
    const right = !spaceBefore && (!markBefore || spaceAfter || markAfter);
    if (char !== '_') return {opens: left, closes: right};
    return {opens: left && (!right || markBefore), closes: right && (!left || markAfter)};
  }

  open(mark, length) {
    this.openFrame({char: '[', mark, from: this.at});
    this.at += length;
  }

  closeBracket() {
    ++this.at;
    const frame = this.openers['['].pop();
    if (!frame) {
      this.pushText(']');
      return;
    }
    const destination = parseDestination(this.text, this.at);
    if (!destination) {
      this.pushText(']');  // the frame stays where it is, as text that is not closed yet
      return;
    }
    this.at = destination.end;
    this.flatten(frame.index);
    const url = linkTarget(destination.url);
    const type = frame.mark === '[' ? 'link' : 'image';
    this.replaceTop({type, url, children: frame.children});
    if (type === 'link') this.openers['['].length = 0;  // links hold no links
  }

  // Addresses, entities and the one tag that models write in tables.
  special(mark) {
    if (mark === 'h') return this.bareUrl();
    if (mark === '<') {
      const url = this.match(kAngleUrl);
      if (url) this.push({type: 'link', url: linkTarget(url[1]), children: [{type: 'text', text: url[1]}]});
      else if (this.match(kLineBreak)) this.push({type: 'break'});
      else return false;
      return true;
    }
    return mark === '&' && this.entity();
  }

  bareUrl() {
    if (/\w/.test(this.text[this.at - 1] ?? ' ') || this.openers['['].length) return false;
    const begin = this.at;
    const match = this.match(kBareUrl);
    if (!match) return false;
    const text = trimBareUrl(match[0]);
    const url = linkTarget(text);
    if (!url) {
      this.at = begin;
      return false;
    }
    this.at = begin + text.length;
    this.push({type: 'link', url, children: [{type: 'text', text}]});
    return true;
  }

  entity() {
    const begin = this.at;
    const match = this.match(kEntity);
    if (!match) return false;
    const code = match[1] ? parseInt(match[1], 10) : match[2] ? parseInt(match[2], 16) : 0;
    const valid = code > 31 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    const text = match[3] ? (Object.hasOwn(kEntities, match[3]) ? kEntities[match[3]] : null)
                          : valid ? String.fromCodePoint(code) : null;
    if (text === null) {
      this.at = begin;
      return false;
    }
    this.pushText(text);
    return true;
  }
}
