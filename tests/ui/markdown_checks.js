// Checks of ui/js/markdown, run in the page. Returns a list of what is wrong.
const {MarkdownView} = await import('/js/markdown/render.js');
const {linkTarget} = await import('/js/markdown/links.js');
const wrong = [];

function rendered(text) {
  const host = document.createElement('div');
  new MarkdownView(host).update(text);
  return host;
}

// HTML with what matters: the page's own frame around code and tables is left out.
function html(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data.replace(/[<>&]/g, (c) => `&#${c.charCodeAt(0)};`);
  const inner = (parent) => Array.from(parent.childNodes, html).join('');
  if (node.matches('figure')) return `<pre ${node.querySelector('.language').textContent}>${inner(node.querySelector('code'))}</pre>`;
  if (node.matches('div.scroll')) return inner(node);
  const tag = node.localName;
  if (tag === 'br' || tag === 'hr') return `<${tag}>`;
  const kept = ['href', 'start', 'class'].filter((name) => node.getAttribute(name) && !node.getAttribute(name).startsWith('level'));
  return `<${tag}${kept.map((name) => ` ${name}=${node.getAttribute(name)}`).join('')}>${inner(node)}</${tag}>`;
}
const htmlOf = (text) => Array.from(rendered(text).childNodes, html).join('');

const kCases = [
  ['plain', '<p>plain</p>'],
  ['a *b* _c_ **d** __e__ ~~f~~', '<p>a <em>b</em> <em>c</em> <strong>d</strong> <strong>e</strong> <del>f</del></p>'],
  ['***a***', '<p><em><strong>a</strong></em></p>'],
  ['***a** b*', '<p><em><strong>a</strong> b</em></p>'],
  ['***a* b**', '<p><strong><em>a</em> b</strong></p>'],
  ['snake_case_name 2 * 3 * 4', '<p>snake_case_name 2 * 3 * 4</p>'],
  ['**open and *half*', '<p>**open and <em>half</em></p>'],
  ['\\*not\\* \\\\ a\\b', '<p>*not* \\ a\\b</p>'],
  ['`a * b` ``c ` d`` `open', '<p><code>a * b</code> <code>c ` d</code> `open</p>'],
  ['one\ntwo  \nthree\\\nfour', '<p>one<br>two  <br>three<br>four</p>'],
  ['a\n\nb', '<p>a</p><p>b</p>'],
  ['# A\n## B ##\n###### C\n####### d', '<h3>A</h3><h4>B</h4><h6>C</h6><p>####### d</p>'],
  ['#hash', '<p>#hash</p>'],
  ['Title\n=====\ntext', '<h3>Title</h3><p>text</p>'],
  ['text\n---\nmore', '<p>text</p><hr><p>more</p>'],
  ['* * *', '<hr>'],
  ['> a\n> b\nlazy\n\nc', '<blockquote><p>a<br>b<br>lazy</p></blockquote><p>c</p>'],
  ['> # h\n> - x', '<blockquote><h3>h</h3><ul><li>x</li></ul></blockquote>'],
  ['- a\n- b\n  - c\n- d', '<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>'],
  ['1. a\n  - b\n2. c', '<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>'],
  ['3) a\n4) b', '<ol start=3><li>a</li><li>b</li></ol>'],
  ['1. a\n\n2. b\n\n   more', '<ol><li>a</li><li>b<p>more</p></li></ol>'],
  ['- a\n* b', '<ul><li>a</li></ul><ul><li>b</li></ul>'],
  ['text\n- a', '<p>text</p><ul><li>a</li></ul>'],
  ['In\n2024. it was', '<p>In<br>2024. it was</p>'],
  ['- [ ] a\n- [x] b', '<ul><li class=task>\u2610 a</li><li class=task>\u2611 b</li></ul>'],
  ['1. a\n   ```py\n   x\n   ```\n2. b', '<ol><li>a<pre py>x</pre></li><li>b</li></ol>'],
  ['```python title\na <b>\n\n  c\n```\nafter', '<pre python>a &#60;b&#62;\n\n  c</pre><p>after</p>'],
  ['```\nopen', '<pre text>open</pre>'],
  ['~~~\n```\n~~~', '<pre text>```</pre>'],
  ['````\n```\n````', '<pre text>```</pre>'],
  ['``` not a fence ```', '<p><code>not a fence</code></p>'],
  ['    code\n\n    more', '<pre text>code\n\nmore</pre>'],
  ['| a | b |\n|---|:-:|\n| 1 | `x \\| y` |\n| 2', '<table><thead><tr><th>a</th><th class=center>b</th></tr></thead>' +
    '<tbody><tr><td>1</td><td class=center><code>x | y</code></td></tr><tr><td>2</td><td class=center></td></tr></tbody></table>'],
  ['a | b', '<p>a | b</p>'],
  ['|a|\n|-|\n|x<br>y|', '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>x<br>y</td></tr></tbody></table>'],
  ['[a *b*](https://x.org "t")', '<p><a href=https://x.org/>a <em>b</em></a></p>'],
  ['[a](https://x.org/b_(c))', '<p><a href=https://x.org/b_(c)>a</a></p>'],
  ['[a](<https://x.org/b c>)', '<p><a href=https://x.org/b%20c>a</a></p>'],
  ['[a] [b](no) c]', '<p>[a] <span>b</span> c]</p>'],
  ['[1] and [x](mailto:a@b.org)', '<p>[1] and <a href=mailto:a@b.org>x</a></p>'],
  ['See https://x.org/a?b=c, (https://y.org/d).', '<p>See <a href=https://x.org/a?b=c>https://x.org/a?b=c</a>, (<a href=https://y.org/d>https://y.org/d</a>).</p>'],
  ['**https://x.org/**', '<p><strong><a href=https://x.org/>https://x.org/</a></strong></p>'],
  ['<https://x.org/>', '<p><a href=https://x.org/>https://x.org/</a></p>'],
  ['![alt *x*](https://x.org/i.png)', '<p><a href=https://x.org/i.png>Image: alt x</a></p>'],
  ['[![alt](https://x.org/i.png)](https://y.org)', '<p><a href=https://y.org/>alt</a></p>'],
  ['&lt;b&gt; &amp; &#65; &nope; &#0;', '<p>&#60;b&#62; &#38; A &#38;nope; &#38;#0;</p>'],
  ['<b>bold</b> <script>1</script>', '<p>&#60;b&#62;bold&#60;/b&#62; &#60;script&#62;1&#60;/script&#62;</p>'],
  ['a\r\nb', '<p>a<br>b</p>'],
  ['', ''],
];
for (const [text, expected] of kCases) {
  const got = htmlOf(text);
  if (got !== expected) wrong.push(`${JSON.stringify(text)} gives ${got}, expected ${expected}`);
}

const kRefused = ['javascript:alert(1)', ' JaVaScRiPt:alert(1)', 'java\nscript:alert(1)', '\u0001javascript:alert(1)', 'data:text/html,x',
  'vbscript:x', 'file:///etc/passwd', 'blob:https://x.org/1', '/engine', 'v1/models', '//x.org', '', 'about:blank', 'view-source:x'];
for (const url of kRefused) if (linkTarget(url) !== null) wrong.push(`linkTarget allows ${JSON.stringify(url)}`);

// Whatever the text: only these elements and attributes.
const kElements = new Set(['p', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'hr', 'br', 'strong', 'em', 'del', 'code', 'pre', 'a',
  'span', 'figure', 'figcaption', 'button', 'svg', 'use', 'div', 'table', 'thead', 'tbody', 'tr', 'th', 'td']);
const kAttributes = new Set(['class', 'href', 'title', 'target', 'rel', 'type', 'tabindex', 'role', 'aria-label', 'aria-hidden', 'scope', 'start']);
function checkSafe(host, text) {
  for (const found of host.querySelectorAll('*')) {
    if (!kElements.has(found.localName)) wrong.push(`${JSON.stringify(text)} made <${found.localName}>`);
    for (const {name, value} of found.attributes) {
      if (!kAttributes.has(name)) wrong.push(`${JSON.stringify(text)} made the attribute ${name}`);
      if (name === 'href' && found.localName === 'a' && !/^(https?:|mailto:)/.test(value)) wrong.push(`a link to ${value}`);
      if (name === 'href' && found.localName === 'use' && value !== 'icons.svg#copy') wrong.push(`an icon from ${value}`);
    }
    if (found.localName === 'a' && !found.rel.includes('noopener')) wrong.push('a link without noopener');
  }
}

const kHostile = [
  '<script>window.pwned = 1</script>', '<img src=x onerror="window.pwned = 1">', '<svg onload="window.pwned = 1">',
  '<iframe srcdoc="<script>parent.pwned = 1</script>"></iframe>', '<a href="javascript:window.pwned = 1">x</a>',
  '[x](javascript:window.pwned=1)', '[x](  javascript:window.pwned=1)', '[x](java\tscript:window.pwned=1)', '<javascript:window.pwned=1>',
  '[x](javascript&colon;window.pwned=1)', '[x](&#106;avascript:window.pwned=1)', '![x](javascript:window.pwned=1)',
  '![x](https://evil.example/?leak=1)', '![x](" onerror="window.pwned=1)', '[x](https://a.b/" onclick="window.pwned=1)',
  '```"><img src=x onerror=window.pwned=1>\nx\n```', '```<script>\n</code></pre><script>window.pwned=1</script>\n```',
  '| <img src=x onerror=window.pwned=1> |\n|---|\n| <script>window.pwned=1</script> |', '`<img src=x onerror=window.pwned=1>`',
  '&lt;img src=x onerror=window.pwned=1&gt;', '&#60;script&#62;window.pwned=1&#60;/script&#62;', '<style>*{display:none}</style>',
  '<form action=https://evil.example><input name=x></form>', '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<base href=https://evil.example>', '<link rel=stylesheet href=https://evil.example>', '<object data=x></object>', '<math><a xlink:href="javascript:1">',
  '[__proto__](https://x.org) &constructor; &__proto__;', '[x](https://x.org "\'><script>window.pwned=1</script>")',
];
for (const text of kHostile) {
  const host = rendered(text);
  document.body.append(host);  // handlers run only in the document
  checkSafe(host, text);
  host.querySelectorAll('a').forEach((link) => link.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})));
}
await new Promise((resolve) => setTimeout(resolve, 200));
if (window.pwned !== undefined) wrong.push('a script of the model ran');

// Texts that ask for quadratic time or deep recursion.
const kUnits = ['[', '![', ']', '*', '**a', '_a ', '`', '``a`', '> ', '>', '- ', '1. ', '#', '|', '|a|\n|-|\n', '~~', '\\', '<', '&', '&amp', '(', '[a](', '](',
  '[a](b', '*a **b ', '**a_b__c*', '  - a\n', '\t', ' ', '\n', 'http://', 'https://a.b/', '```\n', '~~~', '[[a](b)', '*a*', '[x](https://x.org)', '> - ', '<br>'];
for (const unit of kUnits) checkSafe(rendered(unit.repeat(Math.ceil(20000 / unit.length))), `${unit} repeated`);

// A text that grows piece by piece ends as if it had come at once.
let state = 12345;
const random = (n) => (state = (state * 1103515245 + 12345) % 2147483648) % n;
const kPieces = ['a', 'b c', ' ', '\n', '\n\n', '*', '**', '_', '`', '\n```\n', '[', ']', '(', ')', '](https://x.org)', '<', '>', '\n> ', '\n- ', '\n  - ', '\n1. ',
  '\n# ', '|', '\n|-|-|\n', '\\', '!', '~~', '\n---\n', 'https://x.org/a', '&amp;', '    ', '\t'];
for (let round = 0; round < 300; ++round) {
  const host = document.createElement('div');
  const view = new MarkdownView(host);
  let text = '';
  for (let n = 0; n < 30; ++n) view.update(text += kPieces[random(kPieces.length)]);
  checkSafe(host, text);
  const got = Array.from(host.childNodes, html).join('');
  if (got !== htmlOf(text)) wrong.push(`${JSON.stringify(text)} differs when it streams`);
}
const host = document.createElement('div');
const view = new MarkdownView(host);
view.update('first\n\nsecond');
const first = host.firstChild;
view.update('first\n\nsecond grows');
if (host.firstChild !== first) wrong.push('a finished block was made again');

return wrong;
