/**
 * Reads apt's package sources, both as paragraphs (`.sources`) and as lines (`.list`), and derives one more suite.
 *
 * Owns the two formats. Pure: text in, data and text out. Names no mirror: what it writes comes from what it read.
 */

/** @typedef {{ uris: string[], suites: string[], components: string[], signedBy: string | null, trusted: boolean }} AptSource */

/**
 * The enabled sources of binary packages in one file.
 * @param {string} text
 * @param {'sources' | 'list'} format the file's ending
 * @returns {AptSource[]}
 */
export function parseAptSources(text, format) {
  return format === 'sources' ? parseParagraphs(text) : parseLines(text);
}

/**
 * The paragraph that adds a backports suite from the same mirror as the distribution's own suite.
 * @param {readonly AptSource[]} sources
 * @param {string} codename such as `bookworm`
 * @returns {{ kind: 'present' } | { kind: 'add', text: string } | { kind: 'unknown-mirror' }}
 */
export function backportsSource(sources, codename) {
  const suite = `${codename}-backports`;
  if (sources.some((source) => source.suites.includes(suite))) return { kind: 'present' };
  const text = sourceOfSuites(sources, codename, [suite]);
  return text === null ? { kind: 'unknown-mirror' } : { kind: 'add', text };
}

/**
 * The paragraph that names other suites of the mirror that has the distribution's own; null where that mirror is not known.
 * @param {readonly AptSource[]} sources
 * @param {string} codename such as `bookworm`
 * @param {readonly string[]} suites
 * @returns {string | null}
 */
export function sourceOfSuites(sources, codename, suites) {
  const base = sources.find((source) => source.suites.includes(codename) && source.components.includes('main'));
  if (base === undefined) return null;
  const lines = ['Types: deb', `URIs: ${base.uris.join(' ')}`, `Suites: ${suites.join(' ')}`, 'Components: main'];
  if (base.signedBy !== null) lines.push(`Signed-By: ${base.signedBy}`);
  if (base.trusted) lines.push('Trusted: yes');
  return `${lines.join('\n')}\n`;
}

/**
 * @param {string} text
 * @returns {AptSource[]}
 */
function parseParagraphs(text) {
  const withoutComments = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
  return withoutComments.split(/\n[ \t]*\n/).flatMap((paragraph) => {
    /** @type {Map<string, string>} */
    const fields = new Map();
    let last = '';
    for (const line of paragraph.split('\n')) {
      const field = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (field !== null) {
        last = (field[1] ?? '').toLowerCase();
        fields.set(last, (field[2] ?? '').trim());
      } else if (/^[ \t]/.test(line) && last !== '') {
        // A key may stand in the field itself; its lines must stay indented.
        fields.set(last, `${fields.get(last)}\n${line}`);
      }
    }
    const words = (/** @type {string} */ name) => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
    if (!words('types').includes('deb') || /^(no|false|0)$/i.test(fields.get('enabled') ?? 'yes')) return [];
    const source = { uris: words('uris'), suites: words('suites'), components: words('components') };
    return [{ ...source, signedBy: fields.get('signed-by') ?? null, trusted: isYes(fields.get('trusted')) }];
  });
}

/**
 * @param {string} text
 * @returns {AptSource[]}
 */
function parseLines(text) {
  return text.split('\n').flatMap((line) => {
    const entry = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+\S+)*)$/.exec(line.replace(/#.*$/, '').trim());
    if (entry === null) return [];
    const [, options = '', uri = '', suite = '', components = ''] = entry;
    const option = (/** @type {string} */ name) => new RegExp(`(?:^|\\s)${name}=(\\S+)`).exec(options)?.[1];
    const source = { uris: [uri], suites: [suite], components: components.split(/\s+/).filter((word) => word !== '') };
    return [{ ...source, signedBy: option('signed-by') ?? null, trusted: isYes(option('trusted')) }];
  });
}

/** @param {string | undefined} value */
function isYes(value) {
  return /^(yes|true|1)$/i.test(value ?? '');
}
