internal import CPostgres
internal import Glibc

/// One session with PostgreSQL over libpq. Not `Sendable`: it belongs to the thread that made it.
///
/// Guarantees: every call ends, within the parameters' time-outs, the look-up of the host's name aside (the resolver has
/// its own limits). After an error whose ``PostgresError/endsConnection`` is true the session is over and every further
/// call says so. The session is closed with the object.
@safe
package final class Connection {
    private let connection: OpaquePointer
    private let target: String
    private let notices: NoticeCounter
    private let lifeline: Lifeline?
    private var isOver = false

    /// How long to wait for an answer.
    package var answerTimeout: Duration

    private final class NoticeCounter {
        var count = 0
    }

    /// Connects and logs in; tries the host's addresses one after the other, at most four.
    package init(_ parameters: ConnectionParameters) throws(PostgresError) {
        // Every other use of libpq has a connection, so it comes after this.
        if let problem = unsafe logboom_libpq_load() {
            throw unsafe Self.connectError(parameters, nil, PostgresError.line(String(cString: problem)))
        }
        let addresses: [String?]
        if parameters.isUnixSocket {
            addresses = [nil]
        } else {
            addresses = try Self.lookUp(parameters)
        }
        var lastError: PostgresError?
        var opened: OpaquePointer?
        for address in addresses {
            do throws(PostgresError) {
                unsafe opened = try Self.open(parameters, address: address)
                break
            } catch {
                lastError = error
                // A server that answered is the right one: its neighbours would say the same.
                if error.state != nil { break }
            }
        }
        guard let opened = unsafe opened else {
            throw lastError ?? Self.connectError(parameters, nil, "the name of the host has no address")
        }
        unsafe connection = opened
        target = parameters.target
        answerTimeout = parameters.answerTimeout
        notices = NoticeCounter()
        lifeline = parameters.lifeline
        // Otherwise libpq prints them on standard error, where they would end up in the journal.
        unsafe PQsetNoticeProcessor(
            connection,
            { context, _ in
                guard let context = unsafe context else { return }
                unsafe Unmanaged<NoticeCounter>.fromOpaque(context).takeUnretainedValue().count += 1
            },
            Unmanaged.passUnretained(notices).toOpaque()
        )
        // So that sending a large statement to a peer that does not read cannot hold the thread past its time-out.
        unsafe PQsetnonblocking(connection, 1)
    }

    deinit {
        unsafe PQfinish(connection)
    }

    /// Notices and warnings the server sent; their text is not kept.
    package var noticeCount: Int { notices.count }

    /// Whether the session can still be used, as far as is known without asking.
    package var isUsable: Bool { unsafe !isOver && PQstatus(connection) == CONNECTION_OK }

    /// The server's `server_version`, e.g. `15.18 (Debian 15.18-0+deb12u1)`.
    package var serverVersion: String {
        guard let text = unsafe PQparameterStatus(connection, "server_version") else { return "" }
        return unsafe String(cString: text)
    }

    /// Runs statements without parameters, several in one text if need be; the last one's result.
    package func run(_ script: String, action: String) throws(PostgresError) -> QueryResult {
        try perform(action) { unsafe PQsendQuery(connection, script) }
    }

    /// Makes a statement known under `name` for the life of the session; types are those of the parameters given later.
    package func prepare(_ name: String, _ statement: String, action: String) throws(PostgresError) {
        _ = try perform(action) { unsafe PQsendPrepare(connection, name, statement, 0, nil) }
    }

    /// Runs one statement with parameters.
    package func execute(
        _ statement: String,
        _ parameters: borrowing QueryParameters,
        action: String
    ) throws(PostgresError) -> QueryResult {
        let count = Int32(parameters.count)
        let types = parameters.types
        return try perform(action) {
            unsafe Self.withPointers(parameters) { values, lengths, formats in
                unsafe PQsendQueryParams(connection, statement, count, types, values, lengths, formats, 0)
            }
        }
    }

    /// Runs a prepared statement.
    package func execute(
        prepared name: String,
        _ parameters: borrowing QueryParameters,
        action: String
    ) throws(PostgresError) -> QueryResult {
        let count = Int32(parameters.count)
        return try perform(action) {
            unsafe Self.withPointers(parameters) { values, lengths, formats in
                unsafe PQsendQueryPrepared(connection, name, count, values, lengths, formats, 0)
            }
        }
    }

    /// Whether a server at these parameters takes connections, found out without logging in; at most `timeout` for each
    /// address, and not under 2 s (libpq's own minimum).
    package static func ping(_ parameters: ConnectionParameters, timeout: Duration) -> Bool {
        guard unsafe logboom_libpq_load() == nil else { return false }
        var anonymous = parameters
        anonymous.password = nil
        let keywords = anonymous.keywords(address: nil, connectTimeout: timeout)
        // libpq looks the name up by itself.
        parameters.lifeline?.lookUpBegan()
        defer { parameters.lifeline?.lookUpEnded() }
        return unsafe withCStrings(keywords) { names, values in
            unsafe PQpingParams(names, values, 0) == PQPING_OK
        }
    }
}

// MARK: Waiting

extension Connection {
    /// Sends by `send`, then reads every result up to the end of the command, and keeps the last, or the first error.
    private func perform(_ action: String, _ send: () -> Int32) throws(PostgresError) -> QueryResult {
        guard isUsable else { throw error(.lost, action, "the session had ended before") }
        let deadline = Self.now() + answerTimeout.milliseconds
        guard send() == 1 else { throw lost(action) }
        try flush(until: deadline, action)

        var last: QueryResult?
        var failure: PostgresError?
        while true {
            while unsafe PQisBusy(connection) == 1 {
                try wait(for: Int16(POLLIN), until: deadline, action)
                guard unsafe PQconsumeInput(connection) == 1 else { throw failure ?? lost(action) }
            }
            guard let pointer = unsafe PQgetResult(connection) else { break }
            let result = unsafe QueryResult(pointer)
            switch result.status {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                last = consume result
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                // No statement of ours copies; the session could not be used for anything else after this.
                isOver = true
                throw error(.lost, action, "the server began a copy that was not asked for")
            default:
                if failure == nil { failure = serverError(result, action) }
            }
        }
        if let failure {
            if failure.endsConnection { isOver = true }
            throw failure
        }
        guard let last = consume last else { throw lost(action) }
        return last
    }

    private func flush(until deadline: Int64, _ action: String) throws(PostgresError) {
        while true {
            let pending = unsafe PQflush(connection)
            if pending == 0 { return }
            if pending < 0 {
                // The server may have said why it closed; that is still to be read, so it is no error yet.
                if unsafe PQconsumeInput(connection) == 1 { return }
                throw lost(action)
            }
            let ready = try wait(for: Int16(POLLIN | POLLOUT), until: deadline, action)
            // A server that answers while we send must be read, or both sides wait for ever with full buffers.
            if ready & Int16(POLLIN) != 0, unsafe PQconsumeInput(connection) == 0 { throw lost(action) }
        }
    }

    @discardableResult
    private func wait(for events: Int16, until deadline: Int64, _ action: String) throws(PostgresError) -> Int16 {
        while true {
            let left = deadline - Self.now()
            guard left > 0 else {
                isOver = true
                throw error(.timeout, action, "no answer within \(answerTimeout.milliseconds) ms")
            }
            var descriptor = unsafe pollfd(fd: PQsocket(connection), events: events, revents: 0)
            guard descriptor.fd >= 0 else { throw lost(action) }
            let count = unsafe poll(&descriptor, 1, Self.turn(of: left, lifeline))
            lifeline?.beat()
            if count > 0 { return descriptor.revents }
            if count < 0, errno != EINTR { throw lost(action) }
        }
    }

    /// How long one turn of a wait may be, in milliseconds.
    private static func turn(of left: Int64, _ lifeline: Lifeline?) -> Int32 {
        Int32(min(left, lifeline?.interval.milliseconds ?? 60_000, 60_000))
    }

    /// CLOCK_MONOTONIC in milliseconds.
    private static func now() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

// MARK: Errors

extension Connection {
    private func error(_ kind: PostgresError.Kind, _ action: String, _ message: String) -> PostgresError {
        PostgresError(kind: kind, state: nil, severity: "", action: action, target: target, message: message)
    }

    private func lost(_ action: String) -> PostgresError {
        isOver = true
        return unsafe error(.lost, action, Self.message(of: connection))
    }

    private func serverError(_ result: borrowing QueryResult, _ action: String) -> PostgresError {
        // PG_DIAG_SQLSTATE 'C', PG_DIAG_SEVERITY_NONLOCALIZED 'V', PG_DIAG_MESSAGE_PRIMARY 'M' (postgres_ext.h).
        guard let state = result.field("C").flatMap({ SQLState($0) }) else {
            isOver = true
            return error(.lost, action, PostgresError.line(result.errorMessage))
        }
        var message = "refused by the server"
        if state.messageIsSafe, let text = result.field("M") {
            message = PostgresError.line(text)
        } else {
            if let condition = state.condition { message += " (\(condition))" }
            // Names of the schema are no values: PG_DIAG_TABLE_NAME 't', _COLUMN_NAME 'c', _CONSTRAINT_NAME 'n'.
            for (code, what) in [("t", "table"), ("c", "column"), ("n", "constraint")] as [(Character, String)] {
                if let name = result.field(code) { message += ", \(what) \(name)" }
            }
        }
        return PostgresError(
            kind: .server,
            state: state,
            severity: result.field("V") ?? "ERROR",
            action: action,
            target: target,
            message: message
        )
    }

    private static func message(of connection: OpaquePointer) -> String {
        guard let text = unsafe PQerrorMessage(connection) else { return "" }
        return unsafe PostgresError.line(String(cString: text))
    }

    private static func connectError(
        _ parameters: ConnectionParameters,
        _ state: SQLState?,
        _ message: String
    ) -> PostgresError {
        PostgresError(
            kind: .connect,
            state: state,
            severity: state == nil ? "" : "FATAL",
            action: "connect",
            target: parameters.target,
            message: message
        )
    }
}

// MARK: Connecting

extension Connection {
    /// libpq gives no SQLSTATE for a refused login, but prints it when it is told to be verbose; and that can only be said
    /// between PQconnectStartParams and the first PQconnectPoll. Hence this loop and not PQconnectdbParams.
    private static func open(
        _ parameters: ConnectionParameters,
        address: String?
    ) throws(PostgresError) -> OpaquePointer {
        let keywords = parameters.keywords(address: address, connectTimeout: parameters.connectTimeout)
        let started = unsafe withCStrings(keywords) { names, values in
            unsafe PQconnectStartParams(names, values, 0)
        }
        guard let connection = unsafe started else { throw connectError(parameters, nil, "out of memory") }
        unsafe PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        let deadline = now() + parameters.connectTimeout.milliseconds
        var state = PGRES_POLLING_WRITING
        while unsafe PQstatus(connection) != CONNECTION_BAD {
            if state == PGRES_POLLING_OK {
                unsafe PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
                return unsafe connection
            }
            if state == PGRES_POLLING_FAILED { break }
            let events = Int16(state == PGRES_POLLING_READING ? POLLIN : POLLOUT)
            var descriptor = unsafe pollfd(fd: PQsocket(connection), events: events, revents: 0)
            let left = deadline - now()
            let count = left <= 0 ? 0 : unsafe poll(&descriptor, 1, turn(of: left, parameters.lifeline))
            parameters.lifeline?.beat()
            if count == 0, deadline <= now() {
                unsafe PQfinish(connection)
                let limit = parameters.connectTimeout.milliseconds
                throw connectError(parameters, nil, "no connection within \(limit) ms")
            }
            if count > 0 { state = unsafe PQconnectPoll(connection) }
        }
        let text = unsafe message(of: connection)
        // The server asked for a password and we had none: libpq gives up before the server can say 28P01.
        let passwordIsMissing = unsafe PQconnectionNeedsPassword(connection) == 1
        unsafe PQfinish(connection)
        let (found, message) = split(text)
        throw connectError(parameters, passwordIsMissing ? found ?? SQLState("28P01") : found, message)
    }

    /// Finds the SQLSTATE in `… failed: FATAL:  28P01: password authentication failed for user "x" LOCATION: …`. The words
    /// around it may be translated, its shape cannot be. Every SQLSTATE in use holds a digit, `FATAL` does not.
    private static func split(_ text: String) -> (SQLState?, String) {
        let words = text.split(separator: " ")
        for (index, word) in words.enumerated()
        where index > 0 && word.hasSuffix(":") && words[index - 1].hasSuffix(":") {
            guard let state = SQLState(String(word.dropLast())), state.code.contains(where: \.isNumber) else {
                continue
            }
            let rest = words[(index + 1)...].prefix { $0 != "LOCATION:" }
            return (state, rest.joined(separator: " "))
        }
        return (nil, text)
    }

    private static func lookUp(_ parameters: ConnectionParameters) throws(PostgresError) -> [String?] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        parameters.lifeline?.lookUpBegan()
        let code = unsafe getaddrinfo(parameters.host, nil, &hints, &list)
        parameters.lifeline?.lookUpEnded()
        guard code == 0 else {
            throw connectError(parameters, nil, "look up the host: \(unsafe String(cString: gai_strerror(code)))")
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [String?] = []
        var entry = unsafe list
        while let current = unsafe entry, addresses.count < 4 {
            var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(buffer.count)
            let found = unsafe getnameinfo(
                current.pointee.ai_addr,
                current.pointee.ai_addrlen,
                &buffer,
                size,
                nil,
                0,
                NI_NUMERICHOST
            )
            if found == 0 {
                addresses.append(
                    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                )
            }
            unsafe entry = current.pointee.ai_next
        }
        return addresses
    }
}

// MARK: C arrays

extension Connection {
    private typealias Values = UnsafePointer<UnsafePointer<CChar>?>
    private typealias Numbers = UnsafePointer<Int32>

    private static func withPointers(
        _ parameters: borrowing QueryParameters,
        _ body: (Values?, Numbers?, Numbers?) -> Int32
    ) -> Int32 {
        let ranges = parameters.ranges
        return unsafe parameters.bytes.withUnsafeBytes { buffer in
            var values: [UnsafePointer<CChar>?] = unsafe []
            for range in ranges {
                unsafe values.append(
                    range.flatMap {
                        unsafe buffer.baseAddress?.advanced(by: $0.lowerBound).assumingMemoryBound(to: CChar.self)
                    }
                )
            }
            let lengths = ranges.map { Int32($0?.count ?? 0) }
            let formats = [Int32](repeating: 1, count: ranges.count)
            return unsafe body(values, lengths, formats)
        }
    }

    private static func withCStrings<Value>(
        _ list: [(keyword: String, value: String)],
        _ body: (Values, Values) -> Value
    ) -> Value {
        var names: [UnsafePointer<CChar>?] = unsafe []
        var values: [UnsafePointer<CChar>?] = unsafe []
        for (keyword, value) in list {
            unsafe names.append(UnsafePointer(strdup(keyword)))
            unsafe values.append(UnsafePointer(strdup(value)))
        }
        unsafe names.append(nil)
        unsafe values.append(nil)
        defer {
            for index in unsafe names.indices {
                unsafe free(UnsafeMutablePointer(mutating: names[index]))
                unsafe free(UnsafeMutablePointer(mutating: values[index]))
            }
        }
        return unsafe body(names, values)
    }
}
