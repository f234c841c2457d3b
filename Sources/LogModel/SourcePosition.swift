/// A stretch of a replayable source: what stands behind the entry `from` up to and including the entry `through`. It was sealed
/// into one batch, which goes out under `name` wherever it is sent before it is spooled, from any process: so it counts once
/// however often the stretch is read.
public struct SourceStretch: Sendable, Equatable {
    /// Counts the stretches of a node: 1, 2, 3 …, with holes where a place was guessed.
    public var seal: Int64
    public var name: StreamID
    /// A cursor; of the very first stretch with `@` before it, which is part of the stretch. `nil` when that is not known.
    public var from: String?
    public var through: String
    /// Whether each lane has a receipt for it: at its sink, in the spool, or set aside.
    public var isStored = false
    public var isForwarded = false

    public init(seal: Int64, name: StreamID, from: String?, through: String) {
        self.seal = seal
        self.name = name
        self.from = from
        self.through = through
    }
}

/// How far a replayable source was counted, as it stood when a stretch of it was sealed (docs/formats/delivery.md).
///
/// Becomes durable in the transaction that makes the stretch's batch durable: with the batch alone something could be counted
/// twice, with the position alone something could be lost.
public struct SourcePosition: Sendable, Equatable {
    /// The stretch whose batch this goes with.
    public var own: Int64
    /// Those for which some lane had no receipt, oldest first; the last is the newest there is, whatever its receipts.
    public var stretches: [SourceStretch]
    /// The name of the stretch after the newest: known before it is sealed, so that one can be ruled out that was sent and of
    /// which nothing here tells.
    public var nextName: StreamID
    /// Whether this was written at an orderly stop, so that nothing was sealed after it.
    public var isFinal = false

    public init(own: Int64, stretches: [SourceStretch], nextName: StreamID) {
        precondition(!stretches.isEmpty, "a position is that of a stretch")
        self.own = own
        self.stretches = stretches
        self.nextName = nextName
    }
}
