"use strict";
// The slider shows one picture of a film.
for (const film of document.querySelectorAll(".film")) {
  const moments = film.querySelectorAll(".moment"), slider = film.querySelector("input"), name = film.querySelector("output");
  if (!slider) continue;
  slider.oninput = () => {
    moments.forEach((moment, i) => moment.classList.toggle("on", i == slider.value));
    name.value = moments[slider.value].querySelector("img").title;
  };
}
// A picture of a sheet, or a sheet without a layout, enlarged until the next click.
const dialog = document.body.appendChild(document.createElement("dialog"));
const large = dialog.appendChild(document.createElement("canvas")), told = dialog.appendChild(document.createElement("p"));
dialog.onclick = () => dialog.close();
function enlarge(image, [x, y, width, height], text) {
  Object.assign(large, {width, height});
  large.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
  told.textContent = text;
  dialog.showModal();
}
document.addEventListener("click", event => {
  const cell = event.target.closest(".cell"), image = event.target.closest(".moment")?.querySelector("img");
  if (!image || (event.target !== image && !cell)) return;
  const {offsetLeft: x, offsetTop: y, offsetWidth: width, offsetHeight: height} = cell ?? image;
  const place = cell ? [x, y, width, height] : [0, 0, image.naturalWidth, image.naturalHeight];
  enlarge(image, place, cell ? `${image.title}: ${cell.getAttribute("aria-label").replace("enlarge: ", "")}` : image.title);
});
// The numbers under the pointer, in the legend.
for (const chart of document.querySelectorAll(".chart")) {
  const data = JSON.parse(chart.querySelector("script").textContent), svg = chart.querySelector("svg");
  const values = chart.querySelectorAll(".legend b"), cursor = svg.querySelector(".cursor"), note = chart.querySelector("small");
  const last = [...values].map(v => v.textContent), told = note.textContent;
  const nearest = (line, x) => line.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
  svg.onpointermove = event => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width;
    const share = Math.min(1, Math.max(0, (at - data.left) / (data.right - data.left)));
    const wanted = data.x[0] + share * (data.x[1] - data.x[0]), found = data.lines.map(line => nearest(line, wanted));
    const step = found[0][0], x = data.width * (data.left + (step - data.x[0]) / (data.x[1] - data.x[0]) * (data.right - data.left));
    cursor.setAttribute("d", `M${x} ${data.top}V${data.bottom}`);
    found.forEach((point, i) => values[i].textContent = Number(point[1].toPrecision(4)));
    note.textContent = `step ${Math.round(step)}`;
  };
  svg.onpointerleave = () => {
    cursor.setAttribute("d", "");
    values.forEach((v, i) => v.textContent = last[i]);
    note.textContent = told;
  };
}
