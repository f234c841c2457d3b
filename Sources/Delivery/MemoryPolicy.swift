/// What is given up, step by step, before requests are refused for want of memory, and taken up again when there is room:
/// samples first, then attribute summaries. Counts never are.
package struct MemoryPolicy: Sendable {
    /// Of the budget; each step is undone an eighth below where it began, so that it does not flicker.
    private static let samplesEnd = 0.5
    private static let attributesEnd = 0.75
    private static let hysteresis = 0.125

    /// How much of new records is kept.
    package private(set) var detail = BatchDetail.all

    package init() {}

    /// Takes note of what is in use. Whether ``detail`` changed.
    package mutating func update(usedByteCount: Int, limit: Int) -> Bool {
        let share = Double(usedByteCount) / Double(max(1, limit))
        let before = detail
        func holds(_ bound: Double, _ step: BatchDetail) -> Bool {
            share >= bound - (before >= step ? Self.hysteresis : 0)
        }
        detail =
            holds(Self.attributesEnd, .countsOnly)
            ? .countsOnly : holds(Self.samplesEnd, .withoutSamples) ? .withoutSamples : .all
        return detail != before
    }
}
