// Stands between an exporter and Lamplight, and loses an answer when told to.
import { connect, createServer } from "node:net";

const HTTP2_HEADERS = 1; // the frame in which an answer begins; what comes before belongs to the connection

/** Types of the frames that begin in what a server sends. */
function frameReader() {
  let rest = Buffer.alloc(0);
  let skip = 0;
  return (chunk) => {
    const found = [];
    let data = Buffer.concat([rest, chunk]);
    for (;;) {
      const passed = Math.min(skip, data.length);
      data = data.subarray(passed);
      skip -= passed;
      if (skip > 0 || data.length < 9) break;
      found.push(data[3]);
      skip = 9 + data.readUIntBE(0, 3);
    }
    rest = data;
    return found;
  };
}

/** Passes bytes on to `target()`. `loseNextAnswer` resets the connection when the next answer comes, after it was given. */
export async function relay(target, isHttp2) {
  let beforeCutting = null;
  let isCutting = false;
  const state = { lost: 0, loseNextAnswer: (act = async () => undefined) => (beforeCutting = act) };
  const open = new Set();
  const server = createServer((near) => {
    const [host, port] = target().split(":");
    const far = connect(Number(port), host);
    const frames = frameReader();
    for (const [end, other] of [[near, far], [far, near]]) {
      open.add(end);
      end.on("error", () => other.destroy());
      end.on("close", () => {
        open.delete(end);
        // Not while the other side is about to be reset.
        if (!isCutting) other.end();
      });
    }
    near.on("data", (chunk) => far.write(chunk));
    far.on("data", (chunk) => {
      const begins = isHttp2 ? frames(chunk).includes(HTTP2_HEADERS) : true;
      if (!begins || beforeCutting === null) return near.write(chunk);
      const act = beforeCutting;
      beforeCutting = null;
      isCutting = true;
      far.removeAllListeners("data");
      act().then(() => {
        isCutting = false;
        state.lost += 1;
        near.resetAndDestroy();
        far.destroy();
      });
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.address = `127.0.0.1:${server.address().port}`;
  state.close = () => {
    for (const end of open) end.destroy();
    server.close();
  };
  return state;
}
