import Delivery
import Ports
import Testing

@testable import PostgresClient
@testable import PostgresSink

@Suite struct FailureClassTests {
    /// Every class of the manual's appendix A, by a condition of it: what it means while connecting, before COMMIT and after
    /// COMMIT was sent, and how a metric calls it.
    private static let table: [(state: String, expected: [FailureClass], fault: Fault)] = [
        ("00000", [.transient, .transient, .transient], .other),
        ("01000", [.transient, .transient, .transient], .other),
        ("02000", [.transient, .transient, .transient], .other),
        ("03000", [.transient, .transient, .transient], .other),
        ("08006", [.transient, .transient, .ambiguous], .connectionLost),
        ("09000", [.permanent, .poison, .poison], .rule),
        ("0A000", [.permanent, .permanent, .permanent], .other),
        ("0B000", [.transient, .transient, .transient], .other),
        ("0F000", [.transient, .transient, .transient], .other),
        ("0L000", [.permanent, .permanent, .permanent], .login),
        ("0P000", [.permanent, .permanent, .permanent], .login),
        ("0Z000", [.transient, .transient, .transient], .other),
        ("20000", [.permanent, .poison, .poison], .rule),
        ("21000", [.permanent, .poison, .poison], .value),
        ("22P05", [.permanent, .poison, .poison], .value),
        ("23514", [.permanent, .poison, .poison], .rule),
        ("24000", [.transient, .transient, .transient], .other),
        ("25006", [.transient, .transient, .transient], .readOnly),
        ("25P02", [.transient, .transient, .transient], .other),
        ("26000", [.transient, .transient, .transient], .other),
        ("27000", [.permanent, .permanent, .permanent], .rule),
        ("28P01", [.permanent, .permanent, .permanent], .login),
        ("2B000", [.permanent, .permanent, .permanent], .other),
        ("2D000", [.ambiguous, .ambiguous, .ambiguous], .other),
        ("2F000", [.permanent, .poison, .poison], .rule),
        ("34000", [.transient, .transient, .transient], .other),
        ("38000", [.permanent, .poison, .poison], .rule),
        ("39000", [.permanent, .poison, .poison], .rule),
        ("3B000", [.transient, .transient, .transient], .other),
        ("3D000", [.permanent, .permanent, .permanent], .databaseMissing),
        ("3F000", [.permanent, .permanent, .permanent], .schema),
        ("40001", [.transient, .transient, .transient], .conflict),
        ("40003", [.ambiguous, .ambiguous, .ambiguous], .conflict),
        ("40P01", [.transient, .transient, .transient], .conflict),
        ("42P01", [.permanent, .permanent, .permanent], .schema),
        ("42501", [.permanent, .permanent, .permanent], .rights),
        ("44000", [.permanent, .permanent, .permanent], .rule),
        ("53100", [.transient, .transient, .transient], .diskFull),
        ("53200", [.transient, .transient, .transient], .resources),
        ("53300", [.transient, .transient, .transient], .tooManyConnections),
        ("54000", [.permanent, .poison, .poison], .limit),
        ("54001", [.transient, .transient, .transient], .limit),
        ("55P03", [.transient, .transient, .transient], .locked),
        ("57014", [.transient, .transient, .transient], .cancelled),
        ("57P01", [.transient, .transient, .transient], .serverStopping),
        ("58030", [.transient, .transient, .transient], .serverError),
        ("72000", [.transient, .transient, .transient], .other),
        ("F0000", [.transient, .transient, .transient], .serverError),
        ("HV000", [.permanent, .permanent, .permanent], .other),
        ("P0001", [.permanent, .poison, .poison], .rule),
        ("XX000", [.transient, .transient, .transient], .serverError),
        ("99ZZZ", [.transient, .transient, .transient], .other),
    ]

    private func error(_ state: String, severity: String, kind: PostgresError.Kind = .server) -> PostgresError {
        PostgresError(
            kind: kind,
            state: SQLState(state),
            severity: severity,
            action: "upsert patterns",
            target: "db:5432/logs",
            message: "said so"
        )
    }

    @Test func `every class of SQLSTATE has its class of failure in every phase, and its name in the metrics`() {
        for (state, expected, fault) in Self.table {
            let phases: [SinkError.Phase] = [.preparing, .writing, .committing]
            for (phase, failureClass) in zip(phases, expected) {
                let sinkError = SinkError(error(state, severity: "ERROR"), phase)
                #expect(sinkError.failureClass == failureClass, "\(state) while \(phase)")
                #expect(sinkError.code == state && sinkError.fault == fault, "\(state)")
            }
            // Whatever a server says with its last breath: a COMMIT under way may have got through.
            for severity in ["FATAL", "PANIC"] {
                #expect(SinkError(error(state, severity: severity), .committing).failureClass == .ambiguous)
            }
        }
    }

    @Test func `failures without a word of the server's depend on whether COMMIT was sent`() {
        for (kind, fault) in [(.connect, .noConnection), (.lost, .connectionLost), (.timeout, .timeout)]
            as [(PostgresError.Kind, Fault)]
        {
            let silent = PostgresError(
                kind: kind,
                state: nil,
                severity: "",
                action: "commit",
                target: "db",
                message: ""
            )
            #expect(SinkError(silent, .preparing).failureClass == .transient)
            #expect(SinkError(silent, .writing).failureClass == .transient)
            #expect(SinkError(silent, .committing).failureClass == .ambiguous)
            #expect(SinkError(silent, .writing).fault == fault)
        }
    }

    @Test(arguments: [
        ("ECONNREFUSED", Fault.noConnection), ("EHOSTUNREACH", .noConnection), ("ETIMEDOUT", .timeout),
        ("503", .serverError),
        ("404", .answer), ("401", .login), ("SQLITE_FULL", .diskFull), ("SQLITE_BUSY", .other), ("BATCH", .format),
        ("", .other),
        ("EPERM", .noConnection), ("RESOLVE", .noConnection),
    ])
    func `codes of other sinks have their names, too`(code: String, fault: Fault) {
        #expect(Fault(code: code) == fault)
    }
}
