import ArgumentParser
import LogModel

/// `logboom`: see, search and drain what `logboomd` gathered.
@main
struct LogboomCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logboom",
        abstract: "See what logboomd gathered: counted patterns instead of log lines.",
        discussion: """
            EXAMPLES
              logboom top                        the most frequent patterns
              logboom top --since -1h --level error
              logboom tail --source auth         records as they come
              logboom status                     how is the daemon? exit status 0, 1 or 2
              logboom config                     every setting and where it comes from

            The daemon is looked for at its unix socket, then at http://127.0.0.1:8004; --url or the environment variable \
            LOGBOOM_URL names another place.
            """,
        version: "logboom \(logboomVersion)",
        subcommands: [
            Top.self, Status.self, Flush.self, Tail.self, PatternsCommand.self, DeadLetters.self, TokenCommand.self,
            Config.self, Doctor.self, Wear.self, Version.self,
        ]
    )
}

/// `logboom version`.
struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the version of this program.")

    func run() throws {
        Output.standard.write("logboom \(logboomVersion)\n")
    }
}

/// Where the daemon is; an option of every command that talks to it.
struct DaemonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where logboomd answers: http://HOST:PORT or unix:/PATH.", valueName: "url"))
    var url: String?
    @Option(
        help: ArgumentHelp(
            "A file that holds the token to show, where one is asked for; else LOGBOOM_TOKEN_FILE names it.",
            valueName: "file"
        )
    )
    var tokenFile: String?

    /// - Throws: ``CommandFailure`` when the address or the token cannot be used.
    func connect() throws -> DaemonClient {
        try DaemonClient(
            DaemonLocation.find(option: url, environment: Output.environment),
            token: DaemonToken.find(option: tokenFile, environment: Output.environment)
        )
    }
}

/// Whether to colour; an option of every command that prints for people.
enum ColorChoice: String, ExpressibleByArgument, CaseIterable {
    case auto, always, never
}

/// An end of the program other than success, with what the person at the terminal reads.
struct CommandFailure: Error, Equatable {
    /// Exit statuses, from sysexits(3) where it has one.
    enum Status: Int32 {
        /// The daemon answered, but not with success; `status`: degraded.
        case failed = 1
        /// `status`: unhealthy.
        case unhealthy = 2
        /// EX_USAGE.
        case misused = 64
        /// EX_UNAVAILABLE: no daemon there.
        case unavailable = 69
        /// EX_CONFIG.
        case misconfigured = 78
    }

    var status: Status
    /// Safe to print: foreign text in it was cleaned.
    var message: String
}

extension ParsableCommand {
    /// Runs `body`, prints what a ``CommandFailure`` says to standard error, and ends with its status.
    func reporting(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let failure as CommandFailure {
            if !failure.message.isEmpty { Output.error.write("logboom: \(failure.message)\n") }
            throw ExitCode(failure.status.rawValue)
        }
    }
}
