/// Where and how to connect, with the pauses nothing may outlast.
package struct ConnectionParameters: Sendable {
    /// A name, an address, or a folder that holds the server's unix socket (begins with `/`).
    package var host: String
    package var port: Int
    package var database: String
    package var user: String
    package var password: String?
    /// libpq's `sslmode`: disable, allow, prefer, require, verify-ca or verify-full.
    package var sslMode: String
    package var applicationName = "logboom"

    /// For each address of the host, from the first packet to the end of the login.
    package var connectTimeout: Duration = .seconds(5)
    /// Kept by the server, for each statement.
    package var statementTimeout: Duration = .seconds(15)
    /// Kept by the server, for each lock.
    package var lockTimeout: Duration = .seconds(5)
    /// Kept by the server: a transaction that waits for us longer is ended, so that its locks do not outlive a dead Pi.
    package var idleInTransactionTimeout: Duration = .seconds(30)
    /// Kept by us, for each answer. Longer than the server's own, so that it only fires when the network swallows packets:
    /// a proxy in between acknowledges them, and then neither keepalives nor TCP_USER_TIMEOUT see anything wrong.
    package var answerTimeout: Duration = .seconds(20)
    /// Hears of every turn of a wait.
    package var lifeline: Lifeline?

    package init(host: String, port: Int, database: String, user: String, password: String?, sslMode: String = "prefer")
    {
        self.host = host
        self.port = port
        self.database = database
        self.user = user
        self.password = password
        self.sslMode = sslMode
    }

    package var isUnixSocket: Bool { host.hasPrefix("/") }

    /// For messages: `host:port/database`, no user, no password.
    package var target: String { "\(host):\(port)/\(database)" }

    /// Keywords of the manual's section 34.1.2 with their values; `address` spares libpq the look-up of the name.
    func keywords(address: String?, connectTimeout: Duration) -> [(keyword: String, value: String)] {
        var list = [
            ("host", host), ("port", String(port)), ("dbname", database), ("user", user), ("sslmode", sslMode),
            // Kerberos is libpq's first try by default: it loads libraries and costs memory and a round trip.
            ("gssencmode", "disable"),
            ("application_name", applicationName), ("client_encoding", "UTF8"),
            ("connect_timeout", String(max(2, Int(connectTimeout.components.seconds)))),
            // A peer that went without a word is noticed within 10 + 3 x 5 s when idle, 15 s with data on the way.
            ("keepalives", "1"), ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "15000"),
            (
                "options",
                "-c statement_timeout=\(statementTimeout.milliseconds) -c lock_timeout=\(lockTimeout.milliseconds)"
                    + " -c idle_in_transaction_session_timeout=\(idleInTransactionTimeout.milliseconds)"
                    // A receipt is a commit that survives a power cut at the server, whatever its default says.
                    + " -c synchronous_commit=on"
                    // The claim of a span waits for another session's claim and compares with what that left; stricter
                    // levels would refuse instead. (A blank in an option's value is escaped, libpq "options".)
                    + " -c default_transaction_isolation=read\\ committed"
            ),
        ]
        if let password { list.append(("password", password)) }
        if let address { list.append(("hostaddr", address)) }
        return list
    }
}

extension Duration {
    var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
