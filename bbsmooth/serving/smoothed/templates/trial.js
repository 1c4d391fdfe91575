"use strict";
const facts = JSON.parse(document.body.dataset.facts);
const known = facts.parameters;
const [, channels, height, width] = facts.inputs[0].shape;
const find = (id) => document.getElementById(id);
const canvas = find("canvas");
const MOST_ROWS = 10;
let pixels = null;
let taken = 0;
let running = null;

function say(text, wrong = false) {
  find("state").textContent = text;
  find("state").className = wrong ? "wrong" : "";
}

/* Scaled and cropped to the middle, over white, as `bbsmooth` does with --resize; grey by ITU-R 601-2. */
async function take(file) {
  const own = ++taken;
  running?.abort();  // its answer would stand below another image
  pixels = null;
  find("ask").disabled = true;
  find("result").hidden = true;
  find("shown").hidden = true;
  let picture;
  try {
    picture = await middle(await createImageBitmap(file));
  } catch {
    if (own !== taken) return;
    say(`${file.name || "That"} is not an image that this browser can read.`, true);
    return;
  }
  if (own !== taken) return;
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "white";
  pen.fillRect(0, 0, width, height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, width, height);
  const image = pen.getImageData(0, 0, width, height);
  const area = width * height;
  pixels = new Array(channels * area);
  for (let place = 0; place < area; place++) {
    const [red, green, blue] = image.data.subarray(4 * place, 4 * place + 3);
    if (channels === 1) {
      const grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
      pixels[place] = grey;
      image.data.set([grey, grey, grey], 4 * place);
    } else {
      [red, green, blue].forEach((value, channel) => { pixels[channel * area + place] = value; });
    }
  }
  pen.putImageData(image, 0, 0);
  find("seen").textContent =
    `What the classifier is shown, before noise: ${width} by ${height} pixels${channels === 1 ? ", grey" : ""}.`;
  find("shown").hidden = false;
  find("ask").disabled = false;
  say("");
}

/* Cut before it is scaled: scaling would let in what lies outside. */
function middle(picture) {
  const scale = Math.min(picture.width / width, picture.height / height);
  const [w, h] = [width * scale, height * scale].map((size) => Math.max(1, Math.round(size)));
  return createImageBitmap(picture, Math.round((picture.width - w) / 2), Math.round((picture.height - h) / 2), w, h);
}

async function certify() {
  const headers = { "content-type": "application/json" };
  if (find("key")) headers.authorization = `Bearer ${find("key").value}`;
  running = new AbortController();
  find("ask").disabled = true;
  find("stop").hidden = false;
  find("result").hidden = true;
  say("Asking the classifier about noisy copies ...");
  try {
    const reply = await fetch(`/v2/models/${encodeURIComponent(facts.name)}/infer`, {
      method: "POST",
      headers,
      signal: running.signal,
      body: JSON.stringify({
        inputs: [{ name: "images", shape: [1, channels, height, width], datatype: "UINT8", data: pixels }],
      }),
    });
    const said = await reply.json();
    if (reply.ok) show(said);
    else refuse(reply, said);
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped. No further query is sent." : `No answer: ${error.message}`, true);
  }
  running = null;
  find("ask").disabled = !pixels;
  find("stop").hidden = true;
}

function refuse(reply, said) {
  const wait = reply.headers.get("retry-after");
  say(`Not answered (${reply.status}): ${said.error}.` + (wait ? ` Try again in ${wait} s.` : ""), true);
}

function show(said) {
  const output = Object.fromEntries(said.outputs.map((each) => [each.name, each.data]));
  const [radius, alpha, queries] = [output.radius[0], output.alpha[0], output.queries[0]];
  const abstained = output.abstained[0];
  say(abstained ? "Answered: abstained." : "Answered.");
  find("label").textContent = abstained ? "Abstained" : output.label[0];
  find("radius").textContent = abstained ? WHY[output.reason[0]] : meaning(radius);
  find("scale").textContent = abstained ? "" : inOtherWords(radius);
  find("doubt").textContent =
    `By chance the votes mislead with probability at most ${alpha}, in every answer. ` +
    "Whether the class is right is another question, and so are changes of other kinds, such as turning the image.";
  const votes = named(typeof output.votes[0] === "string"
    ? JSON.parse(output.votes[0]) : output.votes);
  const all = votes.reduce((sum, [, count]) => sum + count, 0);
  find("counted").textContent = `Votes of ${all.toLocaleString("en")} noisy copies` +
    (votes.length > MOST_ROWS ? `, the ${MOST_ROWS} classes with the most` : "");
  find("votes").replaceChildren(...votes.slice(0, MOST_ROWS).map(([name, count]) => row(name, count, all)));
  const left = said.parameters?.budget_left;
  find("cost").textContent = `${queries.toLocaleString("en")} queries` +
    (left === undefined ? "." : `; ${left.toLocaleString("en")} of your budget are left.`);
  find("result").hidden = false;
  find("answer").focus();
}

const WHY = {
  "unproven": "No class surely has more than half of the votes, so nothing is proven about this image.",
  "refused": "The classifier refused to answer about a noisy copy, and leaving it out would bias the vote.",
  "no answer": "The classifier named no class.",
};
const NORMS = { l1: "L1", l2: "L2", linf: "L-infinity" };

/* Never more than is proven. */
function down(value, digits) {
  return (Math.floor(value * 10 ** digits) / 10 ** digits).toFixed(digits);
}

function meaning(radius) {
  return `Proven within an ${NORMS[known.norm]} radius of ${down(radius, 3)}: whatever is done to the pixels, ` +
    "as long as it is smaller than that, the answer stays the same.";
}

function inOtherWords(radius) {
  const values = channels * height * width;
  if (known.norm === "l1") {
    return `For scale: the changes of all pixel values may add up to ${down(255 * radius, 0)} grey levels of 255.`;
  }
  const whole = Math.max(0, Math.ceil(radius * radius) - 1);
  return `For scale: every one of the ${values.toLocaleString("en")} pixel values may change by ` +
    `${down(255 * radius / Math.sqrt(values), 2)} grey levels of 255, ` +
    (whole > 0 ? `or ${whole.toLocaleString("en")} of them from black to white, ` : "") +
    "or anything else of that length.";
}

function named(counts) {
  const pairs = Array.isArray(counts)
    ? counts.map((count, number) => [known.labels[number], count]) : Object.entries(counts);
  return pairs.filter(([, count]) => count > 0).sort((one, other) => other[1] - one[1]);
}

function row(name, count, all) {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  const number = document.createElement("td");
  number.className = "number";
  number.textContent = count.toLocaleString("en");
  const share = document.createElement("td");
  share.className = "share";
  const bar = document.createElement("progress");
  bar.max = all;
  bar.value = count;
  bar.setAttribute("aria-label", `${(100 * count / all).toFixed(1)} % for ${name}`);
  share.append(bar);
  line.append(head, number, share);
  return line;
}

find("file").addEventListener("change", (event) => { if (event.target.files[0]) take(event.target.files[0]); });
find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (pixels && !running) certify();
});
find("stop").addEventListener("click", () => running?.abort());
for (const name of ["dragenter", "dragover"]) {
  find("drop").addEventListener(name, (event) => { event.preventDefault(); find("drop").classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) {
  find("drop").addEventListener(name, () => find("drop").classList.remove("over"));
}
for (const name of ["dragover", "drop"]) {  // an image that is dropped beside the field replaces no page
  window.addEventListener(name, (event) => event.preventDefault());
}
find("drop").addEventListener("drop", (event) => {
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
