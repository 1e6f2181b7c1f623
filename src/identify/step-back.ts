/** Ms: a clock that went back further than this is no witness any more of what was judged, read or lost before. */
export const tolerableStepBack = 30_000
