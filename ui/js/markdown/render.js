// Markdown to DOM. Elements are made one by one from a fixed set, and text goes into text nodes: no
// markup of the model's is ever parsed as HTML, and nothing is loaded (an image becomes a link).
import {element, icon} from '../dom.js';
import {copyFromButton} from '../clipboard.js';
import {parseBlocks} from './blocks.js';
import {parseInline} from './inline.js';

// Keeps `host` showing the Markdown of a text that grows. Blocks that did not change stay the same
// elements, so that a selection and the scroll position of a code block survive.
export class MarkdownView {
  constructor(host) {
    this.host = host;
    this.sources = [];
  }

  update(text) {
    const blocks = parseBlocks(text);
    let same = 0;
    while (same < blocks.length && blocks[same].source === this.sources[same]) ++same;
    const rest = blocks.slice(same).map(renderBlock);
    while (this.host.childNodes.length > same) this.host.lastChild.remove();
    this.host.append(...rest);
    this.sources = blocks.map((block) => block.source);
  }
}

function renderBlock(block) {
  switch (block.type) {
    case 'heading':
      // The page's own headings end at level two.
      return element(`h${Math.min(6, block.level + 2)}`, {class: `level-${block.level}`}, ...renderInline(block.text));
    case 'code':
      return renderCode(block);
    case 'quote':
      return element('blockquote', {}, ...block.blocks.map(renderBlock));
    case 'list':
      return renderList(block);
    case 'table':
      return renderTable(block);
    case 'rule':
      return element('hr');
    default:
      return element('p', {}, ...renderInline(block.text));
  }
}

function renderCode({language, text}) {
  const copy = element('button', {type: 'button', class: 'button small', 'aria-label': 'Copy the code',
                                  click: () => copyFromButton(copy, text)}, icon('copy'), 'Copy');
  const name = language || 'text';
  return element('figure', {class: 'code-block'},
                 element('figcaption', {}, element('span', {class: 'language'}, name), copy),
                 element('pre', {tabindex: 0, 'aria-label': `Code, ${name}`}, element('code', {}, text)));
}

function renderList({ordered, start, items}) {
  const list = ordered ? element('ol', {start: start === 1 ? null : start}) : element('ul');
  for (const item of items) {
    const task = item.checked === null ? [] : [item.checked ? '\u2611 ' : '\u2610 '];
    // A single paragraph is the item itself: no gap around it.
    const children = item.blocks.flatMap((block, index) =>
      block.type === 'paragraph' && index === 0 ? renderInline(block.text) : [renderBlock(block)]);
    list.append(element('li', {class: task.length ? 'task' : null}, ...task, ...children));
  }
  return list;
}

function renderTable({aligns, head, rows}) {
  const cell = (tag) => (text, column) =>
    element(tag, {class: aligns[column] || null, scope: tag === 'th' ? 'col' : null}, ...renderInline(text));
  return element('div', {class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Table'},
                 element('table', {}, element('thead', {}, element('tr', {}, ...head.map(cell('th')))),
                         element('tbody', {}, ...rows.map((row) => element('tr', {}, ...row.map(cell('td')))))));
}

const kTags = {strong: 'strong', emphasis: 'em', deleted: 'del'};
const kMaxInlineDepth = 40;  // the rest is shown as text: the browser's own recursion has an end

export function renderInline(text) {
  return parseInline(text).map((node) => renderNode(node, false, 0));
}

function renderNode(node, inLink, depth) {
  const children = () => depth > kMaxInlineDepth
    ? [plainText(node)] : node.children.map((child) => renderNode(child, inLink || node.type === 'link', depth + 1));
  switch (node.type) {
    case 'text':
      return document.createTextNode(node.text);
    case 'code':
      return element('code', {}, node.text);
    case 'break':
      return element('br');
    case 'link':
      return node.url ? link(node.url, children()) : element('span', {}, ...children());
    case 'image': {
      const label = plainText(node) || 'image';
      return node.url && !inLink ? link(node.url, [`Image: ${label}`]) : document.createTextNode(label);
    }
    default:
      return element(kTags[node.type], {}, ...children());
  }
}

function link(url, children) {
  return element('a', {href: url, title: url, target: '_blank', rel: 'noopener noreferrer nofollow'}, ...children);
}

function plainText(node) {
  const parts = [];
  const pending = [node];
  while (pending.length) {
    const next = pending.pop();
    if (next.text) parts.push(next.text);
    for (let i = (next.children?.length ?? 0) - 1; i >= 0; --i) pending.push(next.children[i]);
  }
  return parts.join('');
}
