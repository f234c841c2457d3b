internal import PostgresClient

/// Where PostgreSQL is and who we are there.
package struct PostgresSettings: Sendable {
    /// A name, an address, or the folder of a unix socket (begins with `/`).
    package var host: String
    package var port: Int
    package var database: String
    package var user: String
    /// Asked at every attempt to connect, so that a password mended in its file works without a restart. Called on the
    /// sink's and the reader's threads.
    package var password: @Sendable () -> String?
    /// libpq's `sslmode`.
    package var sslMode: String
    /// How many sessions there may be at once. The sink needs one; below two, reading opens a session for each question
    /// and closes it after the answer.
    package var poolMax: Int

    package var connectTimeout: Duration = .seconds(5)
    package var statementTimeout: Duration = .seconds(15)
    /// For a lock, kept by the server.
    package var lockTimeout: Duration = .seconds(5)
    /// For an answer of any kind; longer than `statementTimeout`, which the server keeps.
    package var answerTimeout: Duration = .seconds(20)

    package init(
        host: String,
        port: Int = 5432,
        database: String,
        user: String,
        password: @escaping @Sendable () -> String? = { nil },
        sslMode: String = "prefer",
        poolMax: Int = 2
    ) {
        self.host = host
        self.port = port
        self.database = database
        self.user = user
        self.password = password
        self.sslMode = sslMode
        self.poolMax = poolMax
    }

    /// The parameters of one attempt, with the password as it is now; `lifeline` hears of its waits.
    func connectionParameters(_ lifeline: Lifeline) -> ConnectionParameters {
        var parameters = ConnectionParameters(
            host: host,
            port: port,
            database: database,
            user: user,
            password: password(),
            sslMode: sslMode
        )
        parameters.connectTimeout = connectTimeout
        parameters.statementTimeout = statementTimeout
        parameters.lockTimeout = lockTimeout
        parameters.answerTimeout = answerTimeout
        parameters.lifeline = lifeline
        return parameters
    }
}

extension Lifeline {
    /// How long a thread that talks to PostgreSQL may show nothing of itself. Encoding a statement takes milliseconds; a minute
    /// means that it hangs. The C library's resolver cannot be had in turns: with the usual `timeout:5 attempts:2` and three
    /// servers that do not answer it takes 30 s a name (resolv.conf(5)), and `search` makes several names of one: eight here.
    var silenceMax: Duration { isLookingUp ? .seconds(240) : .seconds(60) }
}
