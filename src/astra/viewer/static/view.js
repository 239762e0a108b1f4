// Keyboard, theme, live pages, curves. Every page can be read without it.
'use strict';

const root = document.documentElement;
const find = (selector) => document.querySelector(selector);
const findAll = (selector) => [...document.querySelectorAll(selector)];

// --- theme ---------------------------------------------------------------------------------

function keep(name, value) {
  try { localStorage.setItem(name, value); } catch { /* from the disk some browsers keep nothing */ }
}

function kept(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

function isDark() {
  return root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function switchTheme() {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  keep('astra-theme', root.dataset.theme);
  drawCharts();
}

const theme = kept('astra-theme');
if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;

// --- keyboard ------------------------------------------------------------------------------

const choosable = () => findAll('.rows tbody tr, .doors li');

function chooseRow(step) {
  const neighbour = find(step > 0 ? 'a[rel="next"]' : 'a[rel="prev"]');
  const rows = choosable();
  if (!rows.length || (neighbour && !find('.rows'))) {
    if (neighbour) location.href = neighbour.href;
    return;
  }
  const now = rows.findIndex((row) => row.classList.contains('chosen'));
  const next = Math.min(rows.length - 1, Math.max(0, now + step));
  rows.forEach((row, number) => row.classList.toggle('chosen', number === next));
  const link = rows[next].querySelector('a.row, a');
  if (link) link.focus();
}

function isWriting(element) {
  return /^(input|select|textarea|button)$/i.test(element.tagName) || element.isContentEditable;
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isWriting(event.target)) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  const search = find('#search');
  const up = find('a[rel="up"]');
  if (event.key === '/' && search) { event.preventDefault(); search.focus(); search.select(); }
  else if (event.key === 'j') chooseRow(1);
  else if (event.key === 'k') chooseRow(-1);
  else if (event.key === 'u') location.href = (up || find('.brand')).href;
  else if (event.key === 't') switchTheme();
  else if (event.key === '?') find('#shortcuts').showModal();
});

// --- live pages ----------------------------------------------------------------------------

const SECONDS = 3;
let shown = '';

async function refresh() {
  const main = find('main[data-live]');
  // Not while somebody chooses, writes, selects or has opened something: it would be lost.
  const busy = document.hidden || find('form :focus, main details[open]:not([data-was])') || String(getSelection());
  if (!main || busy) return;
  try {
    const answer = await fetch(location.href, { headers: { 'x-live': '1' } });
    if (!answer.ok) return;
    const text = await answer.text();
    if (text === shown) return;
    const fresh = new DOMParser().parseFromString(text, 'text/html').querySelector('main');
    if (shown && fresh) {
      const chosen = choosable().findIndex((row) => row.classList.contains('chosen'));
      main.replaceChildren(...fresh.childNodes);
      const rows = choosable();
      if (chosen >= 0 && rows[chosen]) rows[chosen].classList.add('chosen');
      prepare();
    }
    shown = text;
  } catch { /* the server has ended: what is shown stays */ }
}

// --- curves --------------------------------------------------------------------------------

const COLOURS = ['#2f7de1', '#d1495b', '#2a9d5c', '#b07200', '#8a5cd6', '#0e8f9e', '#c2529b', '#6b7280'];
let plots = [];

function smoothed(values, weight) {
  // The mean of the values before, each weighing `weight` times the next one; unbiased at the start.
  let mean = 0;
  let total = 0;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

function drawCharts() {
  plots.forEach((plot) => plot.destroy());
  plots = [];
  if (typeof uPlot === 'undefined') return;
  const slider = find('#smoothing');
  const weight = slider ? Number(slider.value) : 0;
  const style = getComputedStyle(root);
  const ink = style.getPropertyValue('--dim').trim();
  const grid = { stroke: style.getPropertyValue('--line').trim(), width: 1 };
  for (const figure of findAll('.chart')) {
    const { metric, curves } = JSON.parse(figure.querySelector('script').textContent);
    const place = figure.querySelector('.plot');
    const tables = curves.map((curve) => [curve.x, smoothed(curve.y, weight)]);
    const series = curves.map((curve, number) => ({
      label: curve.run, stroke: COLOURS[number % COLOURS.length], width: 2, spanGaps: true,
      points: { show: curve.x.length < 40 },
    }));
    const axis = { stroke: ink, grid, ticks: grid };
    plots.push(new uPlot({
      width: place.clientWidth || 400, height: 260, scales: { x: { time: false } },
      series: [{ label: place.dataset.axis }, ...series], axes: [axis, { ...axis, size: 60 }],
    }, uPlot.join(tables), place));
  }
}

// --- the page ------------------------------------------------------------------------------

function prepare() {
  findAll('main details[open]').forEach((each) => { each.dataset.was = ''; });
  const form = find('#smoothing-form');
  if (form) {
    form.hidden = false;
    find('#smoothing').addEventListener('input', (event) => {
      find('#smoothed').value = event.target.value;
      drawCharts();
    });
  }
  for (const joined of findAll('form[data-joined]')) {
    joined.addEventListener('submit', () => {
      const boxes = [...joined.querySelectorAll('input[type="checkbox"]')];
      joined.elements[joined.dataset.joined].value = boxes.filter((b) => b.checked).map((b) => b.value).join(',');
    });
  }
  for (const select of findAll('.filters select')) {
    select.addEventListener('change', () => select.form.requestSubmit());
  }
  drawCharts();
}

addEventListener('DOMContentLoaded', () => {
  find('#theme').hidden = false;
  find('#keys').hidden = false;
  find('#theme').addEventListener('click', switchTheme);
  find('#keys').addEventListener('click', () => find('#shortcuts').showModal());
  prepare();
  if (location.protocol.startsWith('http') && find('main[data-live]')) setInterval(refresh, SECONDS * 1000);
});
addEventListener('resize', () => {
  for (const plot of plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: 260 });
});
