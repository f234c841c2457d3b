package import LogModel

/// A part of a batch that a sink will never take, and why.
package struct RefusedPart: Sendable {
    package var batch: Batch
    /// What was attempted, with which code; no secret and no log text.
    package var reason: String

    package init(batch: Batch, reason: String) {
        self.batch = batch
        self.reason = reason
    }
}

/// What a sink refused of one batch of a span, and what it would have taken of it. Nothing of the span was applied.
package struct RefusedBatch: Sendable {
    /// The batch's place in the span, from 0.
    package var index: Int
    /// Their record counts and that of the rest add up to the batch's.
    package var parts: [RefusedPart]
    /// `nil` when nothing is left.
    package var rest: Batch?

    package init(index: Int, parts: [RefusedPart], rest: Batch?) {
        self.index = index
        self.parts = parts
        self.rest = rest
    }
}
