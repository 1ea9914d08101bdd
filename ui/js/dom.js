// Building elements. Text becomes text nodes, never markup.
const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// element('a', {href: '#', click: onClick}, 'text', otherElement): functions become listeners.
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// A symbol of icons.svg; what it means has to be said in words beside it.
export function icon(name) {
  return svg('svg', {class: 'icon', 'aria-hidden': 'true'}, svg('use', {href: `icons.svg#${name}`}));
}

export function iconButton(name, label, click) {
  return element('button', {type: 'button', class: 'icon-button small', 'aria-label': label, title: label, click},
                 icon(name));
}

export function byId(id) {
  return document.getElementById(id);
}
