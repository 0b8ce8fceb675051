"use strict";
// The slider shows one picture of a film.
for (const film of document.querySelectorAll(".film")) {
  const images = film.querySelectorAll("img"), slider = film.querySelector("input"), name = film.querySelector("output");
  if (!slider) continue;
  slider.oninput = () => {
    images.forEach((image, i) => image.classList.toggle("on", i == slider.value));
    name.value = images[slider.value].title;
  };
}
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
