// Markdown's blocks: text in, plain objects out. No DOM here.
//
// CommonMark with tables, as far as models write it, and with three choices of our own: `---` below
// a paragraph is a rule (never a heading), list items may be indented less than CommonMark asks for,
// and HTML is text. What is unfinished (an answer that still streams) parses too.
//
// Time is linear in the text for every nesting depth, of which there are at most kMaxDepth.
const kMaxDepth = 8;
const kFence = /^( {0,3})(`{3,}|~{3,})(.*)$/;
const kItem = /^( {0,3})([-*+]|\d{1,9}[.)])(?:( +)|$)/;
const kQuote = /^ {0,3}> ?/;

// Returns a list of
//   {type: 'paragraph', text}, {type: 'heading', level, text}, {type: 'code', language, text},
//   {type: 'quote', blocks}, {type: 'list', ordered, start, items: [{checked, blocks}]},
//   {type: 'table', aligns, head: [text], rows: [[text]]}, {type: 'rule'};
// each also has `source`, the text that it was made of.
export function parseBlocks(text) {
  return parseLines(text.replace(/\r\n?/g, '\n').split('\n').map(expandTabs), 0);
}

function expandTabs(line) {
  return line.includes('\t') ? line.replace(/^[ \t]+/, (start) => start.replaceAll('\t', '    ')) : line;
}

function parseLines(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      ++at;
      continue;
    }
    const begin = at;
    const [block, end] = parseBlock(lines, at, depth);
    at = end;
    block.source = lines.slice(begin, end).join('\n');
    blocks.push(block);
  }
  return blocks;
}

// The block that begins at line `at`, and the line after it.
function parseBlock(lines, at, depth) {
  const line = lines[at];
  const fence = fenceOf(line);
  if (fence) return parseFence(lines, at, fence);
  const heading = headingOf(line);
  if (heading) return [heading, at + 1];
  if (isRule(line)) return [{type: 'rule'}, at + 1];
  if (depth < kMaxDepth && kQuote.test(line)) return parseQuote(lines, at, depth);
  if (depth < kMaxDepth && kItem.test(line)) return parseList(lines, at, depth);
  if (line.startsWith('    ')) return parseIndentedCode(lines, at);
  if (isTableAt(lines, at)) return parseTable(lines, at);
  return parseParagraph(lines, at, depth);
}

function isBlank(line) {
  return line.trim() === '';
}

function indentOf(line) {
  let indent = 0;
  while (line[indent] === ' ') ++indent;
  return indent;
}

// Whether the line begins something other than a paragraph.
function interrupts(lines, at, depth) {
  const line = lines[at];
  if (fenceOf(line) || headingOf(line) || isRule(line)) return true;
  if (depth >= kMaxDepth) return false;
  if (kQuote.test(line)) return true;
  const item = kItem.exec(line);
  return item !== null && item[3] !== undefined && (!/\d/.test(item[2]) || parseInt(item[2], 10) === 1);
}

function fenceOf(line) {
  const match = kFence.exec(line);
  if (!match || (match[2][0] === '`' && match[3].includes('`'))) return null;
  return {indent: match[1].length, mark: match[2], language: match[3].trim().split(/[\s{]/, 1)[0]};
}

function parseFence(lines, at, fence) {
  const text = [];
  for (++at; at < lines.length; ++at) {
    const line = lines[at];
    const trimmed = line.trim();
    if (trimmed.length >= fence.mark.length && indentOf(line) <= 3 &&
        trimmed === fence.mark[0].repeat(trimmed.length)) {
      ++at;
      break;
    }
    text.push(line.slice(Math.min(fence.indent, indentOf(line))));
  }
  return [{type: 'code', language: fence.language, text: text.join('\n')}, at];
}

function parseIndentedCode(lines, at) {
  const text = [];
  for (; at < lines.length && (lines[at].startsWith('    ') || isBlank(lines[at])); ++at) text.push(lines[at].slice(4));
  while (isBlank(text.at(-1))) {
    text.pop();
    --at;
  }
  return [{type: 'code', language: '', text: text.join('\n')}, at];
}

function headingOf(line) {
  const match = /^ {0,3}(#{1,6})(?= |$)/.exec(line);
  if (!match) return null;
  let text = line.slice(match[0].length).trim();
  let end = text.length;
  while (end > 0 && text[end - 1] === '#') --end;
  if (end === 0 || text[end - 1] === ' ') text = text.slice(0, end).trim();
  return {type: 'heading', level: match[1].length, text};
}

function isRule(line) {
  if (indentOf(line) > 3) return false;
  return /^(?:-{3,}|\*{3,}|_{3,})$/.test(line.replaceAll(' ', ''));
}

function parseQuote(lines, at, depth) {
  const inner = [];
  for (; at < lines.length && !isBlank(lines[at]); ++at) {
    if (kQuote.test(lines[at])) inner.push(lines[at].replace(kQuote, ''));
    else if (isBlank(inner.at(-1)) || interrupts(lines, at, depth)) break;
    else inner.push(lines[at]);
  }
  return [{type: 'quote', blocks: parseLines(inner, depth + 1)}, at];
}

function parseList(lines, at, depth) {
  const first = kItem.exec(lines[at]);
  const kind = first[2].at(-1);  // a change of the mark begins another list
  const ordered = /\d/.test(first[2]);
  const list = {type: 'list', ordered, start: ordered ? parseInt(first[2], 10) : 1, items: []};
  while (at < lines.length) {
    const item = kItem.exec(lines[at]);
    if (!item || item[2].at(-1) !== kind || isRule(lines[at])) break;
    const [inner, end] = itemLines(lines, at, item, depth);
    list.items.push(makeItem(inner, depth));
    at = end;
    let next = at;
    while (next < lines.length && isBlank(lines[next])) ++next;
    if (next < lines.length && kItem.test(lines[next])) at = next;
  }
  return [list, at];
}

// The lines of one item without their indentation, and the line after them.
function itemLines(lines, at, item, depth) {
  const marker = item[1].length + item[2].length;
  const spaces = item[3] === undefined || item[3].length > 4 ? 1 : item[3].length;
  const content = marker + spaces;
  const needed = Math.min(content, item[1].length + 2);
  const inner = [lines[at].slice(content)];
  let end = at + 1;
  for (++at; at < lines.length; ++at) {
    const line = lines[at];
    if (isBlank(line)) {
      inner.push('');
      continue;
    }
    const indent = indentOf(line);
    if (indent >= needed) inner.push(line.slice(Math.min(indent, content)));
    else if (inner.at(-1) !== '' && !kItem.test(line) && !interrupts(lines, at, depth)) inner.push(line);
    else break;
    end = at + 1;
  }
  return [inner, end];
}

function makeItem(inner, depth) {
  const task = /^\[([ xX])\] /.exec(inner[0]);
  if (task) inner[0] = inner[0].slice(4);
  return {checked: task ? task[1] !== ' ' : null, blocks: parseLines(inner, depth + 1)};
}

function isTableAt(lines, at) {
  if (!lines[at].includes('|') || at + 1 >= lines.length) return false;
  const rule = lines[at + 1];
  if (!rule.includes('-') || !/^[ |:-]+$/.test(rule)) return false;
  const marks = cellsOf(rule);
  return marks.every((mark) => /^:?-+:?$/.test(mark)) && cellsOf(lines[at]).length === marks.length;
}

function parseTable(lines, at) {
  const head = cellsOf(lines[at]);
  const aligns = cellsOf(lines[at + 1]).map((mark) => {
    if (mark.endsWith(':')) return mark.startsWith(':') ? 'center' : 'right';
    return '';
  });
  const rows = [];
  for (at += 2; at < lines.length && lines[at].includes('|'); ++at) {
    const cells = cellsOf(lines[at]).slice(0, head.length);
    while (cells.length < head.length) cells.push('');
    rows.push(cells);
  }
  return [{type: 'table', aligns, head, rows}, at];
}

// Splits at bars that are not escaped.
function cellsOf(line) {
  const cells = [''];
  const row = line.trim();
  for (let i = row.startsWith('|') ? 1 : 0; i < row.length; ++i) {
    if (row[i] === '\\' && row[i + 1] === '|') {
      cells[cells.length - 1] += '|';
      ++i;
    } else if (row[i] === '|') {
      cells.push('');
    } else {
      cells[cells.length - 1] += row[i];
    }
  }
  if (cells.length > 1 && row.endsWith('|') && cells.at(-1) === '') cells.pop();
  return cells.map((cell) => cell.trim());
}

function parseParagraph(lines, at, depth) {
  const text = [lines[at].trimStart()];
  for (++at; at < lines.length && !isBlank(lines[at]); ++at) {
    if (/^ {0,3}=+ *$/.test(lines[at])) return [{type: 'heading', level: 1, text: text.join('\n').trim()}, at + 1];
    if (interrupts(lines, at, depth) || isTableAt(lines, at)) break;
    text.push(lines[at].trimStart());
  }
  return [{type: 'paragraph', text: text.join('\n').trimEnd()}, at];
}
