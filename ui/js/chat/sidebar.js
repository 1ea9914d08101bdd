// The list of conversations.
import {byId, element, iconButton} from '../dom.js';
import {downloadConversation, listConversations, titleOf} from '../conversations.js';

// actions: {rename(conversation), remove(conversation)}; isRunning(id).
export function showConversations(currentId, isRunning, actions) {
  const conversations = listConversations();
  byId('no-conversations').hidden = conversations.length > 0;
  const list = byId('conversation-list');
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...conversations.map((conversation) => {
    const {id} = conversation;
    const title = titleOf(conversation);
    const tool = (name, label, act) => {
      const button = iconButton(name, `${label}: ${title}`, act);
      button.dataset.key = `${name} ${id}`;
      return button;
    };
    const kinds = ['conversation', id === currentId ? 'current' : '', isRunning(id) ? 'running' : ''];
    return element('li', {class: kinds.filter(Boolean).join(' ')},
      element('a', {href: `#/chat/${id}`, 'aria-current': id === currentId ? 'page' : null, 'data-key': `open ${id}`,
                    title}, title),
      element('span', {class: 'tools'},
        tool('edit', 'Rename', () => actions.rename(conversation)),
        tool('export', 'Export as JSON', () => downloadConversation(conversation)),
        tool('trash', 'Delete', () => actions.remove(conversation))));
  }));
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}
