// Where links may lead. What a model writes is not trusted: only whole http, https and mailto
// addresses pass, in the form that the browser itself makes of them.
const kAllowed = new Set(['http:', 'https:', 'mailto:']);
const kMaxLength = 2000;
const kMaxParentheses = 32;

// The address, or null if it leads elsewhere (javascript:, data:, a path on this server, ...).
export function linkTarget(text) {
  if (text.length > kMaxLength) return null;
  try {
    const url = new URL(text);
    return kAllowed.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

// Reads `(address "title")` at `at`: {url, end}, or null.
export function parseDestination(text, at) {
  if (text[at] !== '(') return null;
  ++at;
  while (text[at] === ' ') ++at;
  const limit = Math.min(text.length, at + kMaxLength);
  const angled = text[at] === '<';
  let end = angled ? at + 1 : at;
  for (let depth = 0; end < limit; ++end) {
    const c = text[end];
    if (c === '\n' || (angled ? c === '>' : c === ' ')) break;
    if (!angled && c === '(' && ++depth > kMaxParentheses) return null;
    if (!angled && c === ')' && --depth < 0) break;
  }
  const url = text.slice(angled ? at + 1 : at, end);
  if (angled && text[end++] !== '>') return null;
  const rest = /^ {0,9}(?:"[^"\n]{0,300}"|'[^'\n]{0,300}')? {0,9}\)/.exec(text.slice(end, end + 330));
  return rest ? {url, end: end + rest[0].length} : null;
}

// A bare address ends before the punctuation of its sentence, and before a parenthesis that it did
// not open.
export function trimBareUrl(text) {
  let end = text.length, excess = 0;
  for (const c of text) excess += c === ')' ? 1 : c === '(' ? -1 : 0;
  for (; end > 0; --end) {
    const c = text[end - 1];
    if (c === ')' && excess > 0) --excess;
    else if (!/[.,;:!?*_~'\]|]/.test(c)) break;
  }
  return text.slice(0, end);
}
