// What a row's entry in the step's array of edits holds, by word. The host's side: EditBatch in ops/sample-batch.ts.
const EDIT_ROW_WORDS: u32 = 9u;
const EDIT_START: u32 = 0u;
const EDIT_COUNT: u32 = 1u;
const EDIT_STABLE: u32 = 2u;
// First patch, then their number.
const EDIT_PATCHES: u32 = 3u;
// Repetition, frequency, presence.
const EDIT_REPETITION: u32 = 5u;
const EDIT_PENDING: u32 = 8u;
