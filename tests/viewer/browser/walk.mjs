// Drives Chromium over the pages and prints what it saw as JSON. `tests/viewer/test_browser.py`
// gives the task as its argument, and says what is right.
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const task = JSON.parse(process.argv[2]);
const seen = { problems: [], visited: 0 };
const browser = await chromium.launch({
  executablePath: task.chromium,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});

const tell = (where, what) => seen.problems.push(`${where}: ${what}`);

async function opened({ width = 1280, scheme = 'light', allowed = task.base, ...more } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 }, colorScheme: scheme, reducedMotion: 'reduce', ...more,
  });
  await context.route('**/*', (route) => {
    const url = route.request().url();
    if (url.startsWith(allowed)) return route.continue();
    tell(url, 'a request to elsewhere');
    return route.abort();
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => tell(page.url(), error.message));
  page.on('console', (message) => {
    const expected = task.missing && page.url().endsWith(task.missing) && message.text().includes('404');
    if (message.type() === 'error' && !expected) tell(page.url(), message.text());
  });
  return page;
}

async function inspected(page, name) {
  seen.visited += 1;
  const where = `${name} at ${page.viewportSize().width}`;
  const [has, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (has > room) tell(where, `${has} pixels wide`);
  await page.evaluate(axe.source);
  // `preload` would fetch style sheets by script, which the pages' policy forbids.
  const options = { resultTypes: ['violations'], preload: false };
  const found = await page.evaluate((given) => window.axe.run(document, given), options);
  for (const each of found.violations) {
    if (['serious', 'critical'].includes(each.impact)) {
      tell(where, `${each.id} (${each.impact}): ${each.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`);
    }
  }
}

async function walk() {
  for (const [width, scheme] of [[1280, 'light'], [390, 'dark'], [1280, 'dark'], [390, 'light']]) {
    const page = await opened({ width, scheme });
    const folder = join(task.screenshots, `${width}-${scheme}`);
    mkdirSync(folder, { recursive: true });
    for (const [name, address] of Object.entries(task.pages)) {
      await page.goto(task.base + address);
      await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
      await inspected(page, `${name}, ${scheme}`);
    }
    await page.context().close();
  }
}

async function keyboard() {
  const page = await opened();
  await page.goto(task.base + task.pages.arenas);
  await page.keyboard.press('/');
  seen.search = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.type('jk');
  seen.typed = await page.inputValue('#search');
  await page.keyboard.press('Escape');
  for (const key of ['j', 'j', 'j', 'k']) await page.keyboard.press(key);
  seen.chosen = await page.evaluate(() => [...document.querySelectorAll('.rows tbody tr')].findIndex((r) => r.matches('.chosen')));
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  seen.entered = page.url();
  await Promise.all([page.waitForNavigation(), page.keyboard.press('j')]);
  seen.next = page.url();
  await Promise.all([page.waitForNavigation(), page.keyboard.press('u')]);
  seen.up = page.url();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.keyboard.press('t');
  seen.themes = [light, await ground()];
  await page.reload();
  seen.themes.push(await ground());
  await page.keyboard.press('?');
  seen.help = await page.locator('#shortcuts').isVisible();
  await inspected(page, 'shortcuts');
  await page.context().close();
}

async function filter() {
  const page = await opened();
  await page.goto(task.base + task.pages.arenas);
  const rows = () => page.locator('.rows tbody tr').count();
  seen.filtered = [await rows()];
  await Promise.all([page.waitForNavigation(), page.selectOption('select[name="language"]', 'zh')]);
  seen.filtered.push(await rows(), new URL(page.url()).searchParams.get('language'));
  await page.goto(task.base + task.pages.arenas);
  await page.fill('#search', 'germany');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  seen.found = await rows();
  await page.context().close();
}

// Whether something is drawn on each chart.
const drawn = (page) => page.evaluate(() => [...document.querySelectorAll('.plot canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value) => value !== 0);
}));

async function charts() {
  const page = await opened();
  await page.goto(task.base + task.pages.training);
  seen.charts = await drawn(page);
  await page.fill('#smoothing', '0.9');
  seen.smoothed = await page.textContent('#smoothed');
  seen.smoothedCharts = await drawn(page);
  await page.uncheck('fieldset input[value="rl"]');
  await Promise.all([page.waitForNavigation(), page.click('form[data-joined] button')]);
  seen.runs = new URL(page.url()).searchParams.get('runs');
  await page.context().close();
}

async function withoutScript() {
  const page = await opened({ javaScriptEnabled: false });
  seen.plain = {};
  for (const [name, address] of Object.entries(task.pages)) {
    await page.goto(task.base + address);
    seen.plain[name] = await page.locator('main').innerText();
  }
  await page.context().close();
}

async function live() {
  const page = await opened();
  await page.goto(task.base + task.growing.address);
  const rows = page.locator('.rows tbody tr');
  seen.grown = [await rows.count()];
  await page.waitForTimeout(4000); // the page has asked once, and nothing was new
  appendFileSync(task.growing.file, task.growing.line);
  await page.waitForFunction((count) => document.querySelectorAll('.rows tbody tr').length > count, seen.grown[0], { timeout: 30000 });
  seen.grown.push(await rows.count());
  await page.context().close();
}

async function exported() {
  const start = pathToFileURL(task.exported).href;
  const page = await opened({ allowed: start });
  await page.goto(`${start}/index.html`);
  await page.click('main a.row >> text=world >> nth=0');
  await page.click('main a >> text=Arenas');
  await page.click('main tbody a.row >> nth=0');
  seen.exportedTitle = await page.title();
  const theme = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  seen.exportedThemes = [await theme()];
  await page.keyboard.press('t');
  seen.exportedThemes.push(await theme());
  await page.goto(`${start}/training.html`);
  seen.exportedCharts = await drawn(page);
  await inspected(page, 'exported training');
  await page.context().close();
}

for (const part of [walk, keyboard, filter, charts, withoutScript, live, exported]) {
  try {
    await part();
  } catch (error) {
    tell(part.name, error.message);
  }
}
await browser.close();
process.stdout.write(JSON.stringify(seen));
