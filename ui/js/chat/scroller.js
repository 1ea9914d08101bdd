// Keeps the end of the conversation in sight, unless the reader has scrolled away from it.
const kNear = 64;  // pixels

export class Scroller {
  constructor(host, jumpButton) {
    this.host = host;
    this.jumpButton = jumpButton;
    this.follows = true;
    host.addEventListener('scroll', () => this.look(), {passive: true});
    jumpButton.addEventListener('click', () => this.toEnd());
  }

  look() {
    this.follows = this.host.scrollHeight - this.host.scrollTop - this.host.clientHeight < kNear;
    this.jumpButton.hidden = this.follows;
  }

  toEnd() {
    this.follows = true;
    this.host.scrollTop = this.host.scrollHeight;
    this.look();
  }

  // Makes a change, and then goes where the reader was: at the end, or where they read.
  following(change) {
    const {follows} = this;
    change();
    if (follows) this.toEnd();
    else this.look();
  }
}
