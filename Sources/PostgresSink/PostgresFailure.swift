internal import Delivery
internal import Ports
internal import PostgresClient

extension SinkError {
    /// How far an attempt to apply a span had come.
    enum Phase {
        /// Connecting and putting the schema in place: the content has nothing to do with it.
        case preparing
        /// In the transaction, COMMIT not sent: whatever happens now, the server rolls back.
        case writing
        /// COMMIT was sent, or may have been.
        case committing
    }

    init(_ error: PostgresError, _ phase: Phase) {
        let failureClass: FailureClass =
            switch error.state?.consequence {
            // What the server says with its last breath does not tell whether a COMMIT under way got through: with
            // synchronous replication it may be durable here and the session ended all the same.
            case _ where phase == .committing && error.endsConnection: .ambiguous
            case nil, .transient: .transient
            case .connection: phase == .committing ? .ambiguous : .transient
            case .ambiguous: .ambiguous
            case .permanent: .permanent
            case .poison: phase == .preparing ? .permanent : .poison
            }
        self.init(failureClass, code: error.code, error.description)
    }
}

extension PostgresError {
    /// Whether the session is worth keeping: the server is well and rolled one transaction back for a reason that lies in
    /// it. Anything else is cured, if at all, by connecting anew: a server that became a standby, settings changed by
    /// ALTER DATABASE, prepared statements dropped by a pooler, a schema changed under us.
    var leavesSessionUsable: Bool {
        guard !endsConnection, let state else { return false }
        return state.consequence == .poison || ["40", "55"].contains(state.classCode) || state.code == "57014"
    }
}
