internal import BlockingExecutor
internal import Delivery
package import LogModel
internal import Migrations
package import Ports
internal import PostgresClient

/// Applies batches to PostgreSQL, each span once: one transaction compares and sets the stream's progress and adds the
/// counts (docs/formats/postgresql.md).
///
/// Owns one session and the thread "sink-postgres". Connects at the first use and after every failure of the session, and
/// then puts the schema in place. Tries nothing twice by itself: the lane decides.
package final class PostgresSink: Sink {
    package let name = "postgres"

    private let thread = BlockingThread(name: "sink-postgres")
    private let writer: SinkSession
    private let lifeline = Lifeline()

    package init(_ settings: PostgresSettings) {
        writer = SinkSession(settings, Migrations.warehouse, lifeline)
    }

    /// For tests of the migrator: other steps than ours.
    init(_ settings: PostgresSettings, migrations: [Migration]) {
        writer = SinkSession(settings, migrations, lifeline)
    }

    package func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        from node: NodeID,
        completion: @escaping @Sendable (Result<SinkAnswer, SinkError>) -> Void
    ) {
        thread.perform { [writer] in
            completion(Result { () throws(SinkError) in try writer.apply(span, batches, node) })
        }
    }

    package func probe(completion: @escaping @Sendable (Bool) -> Void) {
        thread.perform { [writer] in completion(writer.probe()) }
    }

    package func sourcePositions(
        of node: NodeID,
        completion: @escaping @Sendable (Result<[SourcePosition], SinkError>) -> Void
    ) {
        thread.perform { [writer] in
            completion(Result { () throws(SinkError) in try writer.sourcePositions(node) })
        }
    }

    package func forgetStreams(except live: [StreamID], of node: NodeID) {
        thread.perform { [writer] in writer.forgetStreams(except: live, node) }
    }

    /// Nothing is carried out after this; `completion` of a later call is never called.
    package func close(completion: @escaping @Sendable () -> Void) {
        thread.perform { [writer] in
            writer.disconnect()
            completion()
        }
        thread.close()
    }
}

extension PostgresSink: Pingable {
    package var threadName: String { "sink-postgres" }
    package var silenceMax: Duration { lifeline.silenceMax }
    /// A server may take half an hour to rewrite an old table; the wait for it is one in turns.
    package var signOfLifeCount: Int { lifeline.signCount }

    package func ping(_ answer: @escaping @Sendable () -> Void) {
        thread.perform(answer)
    }
}

/// The sink's session and what it needs to begin a new one.
///
/// `@unchecked Sendable`: after `init` it is touched by the thread "sink-postgres" alone.
private final class SinkSession: @unchecked Sendable {
    private static let claim = "claim_span"

    /// Inserts or moves the stream's row, unless something after `previous` ($3) was applied.
    ///
    /// The row's lock is what makes the comparison safe: a transaction of a half-dead older session that has not ended yet
    /// holds it, so we wait here until that one is committed or rolled back, and compare with what it left. That needs
    /// READ COMMITTED; stricter levels would refuse instead.
    private static let claimStatement = """
        INSERT INTO delivery_progress (node_id, stream, applied, positions)
        VALUES ($1::uuid, $2::bigint, $4::bigint, $5::text::jsonb)
        ON CONFLICT (node_id, stream) DO UPDATE
        SET applied = EXCLUDED.applied, positions = EXCLUDED.positions, updated_at = now()
        WHERE delivery_progress.applied <= $3::bigint
        RETURNING 1
        """

    private let settings: PostgresSettings
    private let lifeline: Lifeline
    private let migrator: SchemaMigrator
    private var connection: Connection?
    private var schemaIsSuspect = false
    private var patterns = PatternWriter()

    init(_ settings: PostgresSettings, _ migrations: [Migration], _ lifeline: Lifeline) {
        self.settings = settings
        self.lifeline = lifeline
        migrator = SchemaMigrator(migrations: migrations)
    }

    func apply(_ span: BatchSpan, _ batches: [Batch], _ node: NodeID) throws(SinkError) -> SinkAnswer {
        let connection = try connected()
        var phase = SinkError.Phase.writing
        do throws(PatternWriter.Failure) {
            return try transaction(connection, span, batches, node, &phase)
        } catch {
            switch error {
            case .server(let error):
                settle(connection, after: error)
                guard error.isPoison, connection.isUsable else { throw SinkError(error, phase) }
                return try searchPoison(connection, span, batches, node)
            case .format(let error):
                rollBack(connection)
                throw Self.unreadable(error)
            }
        }
    }

    private static func unreadable(_ error: BatchFormatError) -> SinkError {
        SinkError(.poison, code: "BATCH_FORMAT", "decode a batch for PostgreSQL: \(error)")
    }

    /// Finds out what of the span is refused, in a transaction that is rolled back: nothing may be stored before the refused
    /// part is safe among the dead letters. Should nothing be refused now, the span is applied.
    private func searchPoison(
        _ connection: Connection,
        _ span: BatchSpan,
        _ batches: [Batch],
        _ node: NodeID
    ) throws(SinkError) -> SinkAnswer {
        // A claim that is refused has nothing to do with the content.
        var phase = SinkError.Phase.preparing
        var found: SinkError?
        do throws(PatternWriter.Failure) {
            if let applied = try begin(connection, span, batches, node) { return .alreadyApplied(through: applied) }
            phase = .writing
            var search = try PoisonSearch(batches, of: node, connection)
            try search.run(&patterns)
            if let refusal = search.firstError {
                rollBack(connection)
                found = SinkError(refusal, .writing)
                found?.refused = try search.refusedBatches()
            } else {
                phase = .committing
                try commit(connection)
            }
        } catch {
            switch error {
            case .server(let error):
                settle(connection, after: error)
                throw SinkError(error, phase)
            case .format(let error):
                rollBack(connection)
                throw Self.unreadable(error)
            }
        }
        if let found { throw found }
        return .applied
    }

    /// Positions of one node that are looked at: those of the newest stretches, and some read again.
    private static let positionCountMax = 64

    func sourcePositions(_ node: NodeID) throws(SinkError) -> [SourcePosition] {
        let connection = try connected()
        var parameters = QueryParameters()
        parameters.append(uuid: node.bytes)
        do throws(PostgresError) {
            let rows = try connection.execute(
                """
                SELECT positions::text FROM delivery_progress WHERE node_id = $1::uuid AND positions IS NOT NULL
                ORDER BY (positions ->> 'newest')::bigint DESC LIMIT \(Self.positionCountMax)
                """,
                parameters,
                action: "ask how far the journal was counted"
            )
            return (0..<rows.rowCount).compactMap { row in
                rows.text(row, 0).flatMap { SourcePosition(text: Array($0.utf8)) }
            }
        } catch {
            settle(connection, after: error)
            throw SinkError(error, .preparing)
        }
    }

    func probe() -> Bool {
        Connection.ping(settings.connectionParameters(lifeline), timeout: .seconds(2))
    }

    func forgetStreams(except live: [StreamID], _ node: NodeID) {
        // Without a session there is nothing to tell: the rows stay until the next start, which costs a few bytes each.
        guard let connection = try? connected() else { return }
        var streams = ArrayColumn(.int8)
        for stream in live { streams.append(stream.signed) }
        var parameters = QueryParameters()
        parameters.append(uuid: node.bytes)
        parameters.append(streams)
        do throws(PostgresError) {
            // The newest position stays, however old: with the journal off for a day nobody names its stream.
            _ = try connection.execute(
                """
                DELETE FROM delivery_progress WHERE node_id = $1::uuid AND NOT (stream = ANY ($2::bigint[]))
                AND updated_at < now() - interval '1 day'
                AND (positions IS NULL OR (positions ->> 'newest')::bigint < (
                    SELECT max((positions ->> 'newest')::bigint) FROM delivery_progress WHERE node_id = $1::uuid
                ))
                """,
                parameters,
                action: "forget old streams"
            )
        } catch {
            settle(connection, after: error)
        }
    }

    func disconnect() {
        connection = nil
    }

    private func transaction(
        _ connection: Connection,
        _ span: BatchSpan,
        _ batches: [Batch],
        _ node: NodeID,
        _ phase: inout SinkError.Phase
    ) throws(PatternWriter.Failure) -> SinkAnswer {
        if PatternWriter.fitsOneStatement(batches) {
            // Its own transaction: from the first byte sent it may have been committed.
            phase = .committing
            if try patterns.claimAndWrite(batches, of: node, span, connection) { return .applied }
            do throws(PostgresError) {
                return .alreadyApplied(through: try progress(connection, span, node))
            } catch {
                throw .server(error)
            }
        }
        if let applied = try begin(connection, span, batches, node) { return .alreadyApplied(through: applied) }
        try patterns.write(batches, of: node, connection)
        phase = .committing
        try commit(connection)
        return .applied
    }

    /// Begins the span's transaction; or, when something of the span was applied before, says how far, and is in none.
    private func begin(
        _ connection: Connection,
        _ span: BatchSpan,
        _ batches: [Batch],
        _ node: NodeID
    ) throws(PatternWriter.Failure) -> Int64? {
        do throws(PostgresError) {
            _ = try connection.run("BEGIN ISOLATION LEVEL READ COMMITTED", action: "begin a transaction")
            guard let applied = try claim(connection, span, batches, node) else { return nil }
            _ = try connection.run("ROLLBACK", action: "end the transaction")
            return applied
        } catch {
            throw .server(error)
        }
    }

    private func commit(_ connection: Connection) throws(PatternWriter.Failure) {
        do throws(PostgresError) {
            _ = try connection.run("COMMIT", action: "commit the batch")
        } catch {
            throw .server(error)
        }
    }

    /// Moves the stream's progress; or, when something of the span was applied before, how far.
    private func claim(
        _ connection: Connection,
        _ span: BatchSpan,
        _ batches: [Batch],
        _ node: NodeID
    ) throws(PostgresError) -> Int64? {
        var parameters = QueryParameters()
        parameters.append(uuid: node.bytes)
        parameters.append(span.stream.signed)
        parameters.append(span.previous)
        parameters.append(span.last)
        PatternWriter.appendPositions(of: batches, to: &parameters)
        let claimed = try connection.execute(prepared: Self.claim, parameters, action: "claim the span")
        if claimed.rowCount == 1 { return nil }
        return try progress(connection, span, node)
    }

    /// How far the stream of a refused claim was applied.
    private func progress(_ connection: Connection, _ span: BatchSpan, _ node: NodeID) throws(PostgresError) -> Int64 {
        var parameters = QueryParameters()
        parameters.append(uuid: node.bytes)
        parameters.append(span.stream.signed)
        let row = try connection.execute(
            "SELECT applied FROM delivery_progress WHERE node_id = $1::uuid AND stream = $2::bigint",
            parameters,
            action: "read the stream's progress"
        )
        // The refused claim locked the row, so it is still there and still past `previous`.
        return row.rowCount == 1 ? row.integer(0, 0) ?? span.last : span.last
    }

    /// The session there is, or a new one with the schema in place and the statements prepared.
    private func connected() throws(SinkError) -> Connection {
        if let connection, connection.isUsable { return connection }
        connection = nil
        let fresh: Connection
        do throws(PostgresError) {
            fresh = try Connection(settings.connectionParameters(lifeline))
        } catch {
            throw SinkError(error, .preparing)
        }
        try migrator.migrate(fresh, force: schemaIsSuspect)
        do throws(PostgresError) {
            try prepareStatements(fresh)
        } catch {
            // Recorded as migrated, and yet a table is missing: somebody dropped it. The steps make it again.
            guard error.state?.isSchemaMissing == true, !schemaIsSuspect else { throw SinkError(error, .preparing) }
            try migrator.migrate(fresh, force: true)
            do throws(PostgresError) {
                try prepareStatements(fresh)
            } catch {
                throw SinkError(error, .preparing)
            }
        }
        schemaIsSuspect = false
        patterns.sessionBegan()
        connection = fresh
        return fresh
    }

    private func prepareStatements(_ fresh: Connection) throws(PostgresError) {
        try fresh.prepare(Self.claim, Self.claimStatement, action: "prepare the claim")
        try fresh.prepare(PatternWriter.statementName, PatternWriter.statement, action: "prepare the upsert")
        try fresh.prepare(
            PatternWriter.claimingStatementName,
            PatternWriter.claimingStatement,
            action: "prepare the claiming upsert"
        )
        try fresh.prepare(
            PatternWriter.briefStatementName,
            PatternWriter.briefStatement,
            action: "prepare the brief claiming upsert"
        )
        try fresh.prepare(
            PatternWriter.mergeStatementName,
            PatternWriter.mergeStatement,
            action: "prepare the record of a merge"
        )
    }

    /// Leaves the session ready for the next transaction, or gives it up.
    private func settle(_ connection: Connection, after error: PostgresError) {
        if error.state?.isSchemaMissing == true { schemaIsSuspect = true }
        if error.leavesSessionUsable { rollBack(connection) } else { disconnect() }
    }

    private func rollBack(_ connection: Connection) {
        do throws(PostgresError) {
            _ = try connection.run("ROLLBACK", action: "roll back")
        } catch {
            // Closing the session rolls back as surely.
            disconnect()
        }
    }
}
