/** Fixed-point one of `…Wad` values. */
export const wad = 10n ** 18n;
