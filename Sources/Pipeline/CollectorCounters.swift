package import LogModel
package import Ports

/// Why the intake refused a record that was well-formed. A closed set: it labels a metric.
package enum Refusal: String, Sendable, CaseIterable {
    /// The memory budget is used up: sinks are away and the spool refuses, or senders are faster than everything.
    case memory
    /// The daemon stops.
    case stopping
    /// Its token's senders are faster than the token allows.
    case rate
}

/// What happened since the start, in records unless the name says otherwise. Lives on the loop: plain numbers.
package struct CollectorCounters: Sendable {
    /// Handed over by sources, whatever became of them.
    package var received = 0
    /// Folded into a batch. With ``recovered``, what the conservation sum starts from.
    package var accepted = 0
    /// Found in the spool at the start.
    package var recovered = 0
    /// Of stretches of a replayable source that were read again, for the lanes that had no receipt for them.
    package var reread: [Lane: Int] = [:]
    /// Not usable: a record without a message, a line that is no JSON.
    package var failed = 0
    package var refused: [Refusal: Int] = [:]
    /// Of the accepted, those whose template was known.
    package var matched = 0
    /// Accepted, and lost when the daemon stopped with sinks away and a spool that refused.
    package var dropped = 0
    package var sealed: [SealReason: Int] = [:]
    package var sealedSeries = 0
    /// Times stamps were put right because the clock was set, or turned out to be right.
    package var clockCorrections = 0

    package init() {}
}
