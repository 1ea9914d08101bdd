// Sequences as a table.
import {element} from '../dom.js';

const kMost = 200;

// `owners` gives the colour of a row; null: none.
export function sequenceTable(caption, sequences, owners) {
  if (sequences.length === 0) return element('p', {class: 'quiet'}, 'None at the moment.');
  const rows = sequences.slice(0, kMost).map((sequence) => element('tr', {},
    element('th', {scope: 'row'}, owners && element('span', {class: `swatch ${owners.className(sequence.id)}`}), `#${sequence.id}`),
    ...[sequence.prompt_tokens, sequence.cached_tokens, sequence.generated_tokens, sequence.blocks.length,
        sequence.preemptions, sequence.priority].map((value) => element('td', {}, (value ?? 0).toLocaleString('en')))));
  const heads = ['Sequence', 'Prompt', 'Cached', 'Generated', 'Blocks', 'Preempted', 'Priority'];
  const table = element('table', {class: 'sequences'},
    element('caption', {class: 'visually-hidden'}, caption),
    element('thead', {}, element('tr', {}, ...heads.map((head) => element('th', {scope: 'col'}, head)))),
    element('tbody', {}, ...rows));
  if (sequences.length <= kMost) return table;
  return element('div', {}, table, element('p', {class: 'quiet'}, `and ${sequences.length - kMost} more`));
}
