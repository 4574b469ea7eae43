// What outlives the page, in the browser's own storage. Where that is off or full, nothing is kept and nothing breaks.

/**
 * @param {string} key
 * @param {() => Storage} [where]
 * @returns {string|null}
 */
export function kept(key, where = () => localStorage) {
  try {
    return where().getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string|null} value null forgets
 * @param {() => Storage} [where]
 */
export function keep(key, value, where = () => localStorage) {
  try {
    if (value === null) where().removeItem(key);
    else where().setItem(key, value);
  } catch {
    // off or full
  }
}
