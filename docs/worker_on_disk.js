// The site's search runs in a worker, which browsers refuse to pages opened from the disk: there, a hidden frame stands for it.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(script) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc =
        `<script>postMessage = data => dispatchEvent(new CustomEvent("answer", {detail: data}))<\/script>` +
        `<script src="${script}"><\/script>`;
      this.frame = frame;
      this.ready = new Promise(resolve => frame.addEventListener("load", () => resolve(frame.contentWindow), {once: true}));
      this.ready.then(inside =>
        inside.addEventListener("answer", event => this.dispatchEvent(new MessageEvent("message", {data: event.detail}))));
      document.body.append(frame);
    }
    postMessage(data) {
      this.ready.then(inside => inside.dispatchEvent(new MessageEvent("message", {data})));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
