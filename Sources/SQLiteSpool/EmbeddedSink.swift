package import LogModel
package import Ports

/// The store of an installation without PostgreSQL: patterns go into the table `aggregated_logs` of the state directory's
/// file, under the same contract of exactly once. A commit is synced, as it is what senders are told.
package struct EmbeddedSink: Sink {
    private let database: SpoolDatabase

    package init(_ database: SpoolDatabase) {
        self.database = database
    }

    package var name: String { "embedded" }

    /// `node` is not looked at: the file belongs to one node.
    package func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        from node: NodeID,
        completion: @escaping @Sendable (Result<SinkAnswer, SinkError>) -> Void
    ) {
        database.apply(span, batches, completion: completion)
    }

    /// Always reachable: it is part of this process.
    package func probe(completion: @escaping @Sendable (Bool) -> Void) {
        completion(true)
    }

    /// What it applies it applies before this process ends; positions are in the file that the spool reads.
    package var outlivesCallers: Bool { false }

    package func forgetStreams(except live: [StreamID], of node: NodeID) {
        database.forgetStreams(except: live)
    }

    /// Nothing of its own to close: the database's owner closes it.
    package func close(completion: @escaping @Sendable () -> Void) {
        completion()
    }
}
