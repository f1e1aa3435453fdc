/** Limits of one request. A query above one is refused before it runs, with the value and the limit. */

/** Most nodes of a page; the `first` argument. */
export const pageSizeMax = 100;
export const pageSizeDefault = 20;
/** Nodes that a list without a page is counted as: candidates and entries of one receipt, epochs of conservation. */
export const listSizeAssumed = 20;
/** Fields a query may ask for, each counted as often as it can be resolved. */
export const costMax = 20_000;
export const depthMax = 14;
/** Time of one statement, in ms. */
export const statementMsMax = 5_000;
/** Largest request body in bytes; validation compares the fields of a query with each other. */
export const bodyBytesMax = 16 * 1024;
