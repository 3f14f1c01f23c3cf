// A product of two numbers of 16 bits, or with HALVES one of their lower and one of their upper bytes, a clock later: a multiplier of
// iCE40 with the register behind it. `ice40_map.sv` makes the device's cell of it when all else is synthesized: yosys 0.70 would
// rewrite it, and of the registers behind multipliers of its own choice it loses some.
module products #(
  parameter bit HALVES = 0,
  parameter bit SIGNED = 1
) (
  input  logic clk,
  input  logic [15:0] a, b,
  output logic [31:0] p
);
`ifdef ICE40
  ICE40_PRODUCTS #(.HALVES(HALVES), .SIGNED(SIGNED)) u_products (.CLK(clk), .A(a), .B(b), .O(p));
`else
  always_ff @(posedge clk)
    if (HALVES) p <= {16'($signed(a[15:8]) * $signed(b[15:8])), 16'($signed(a[7:0]) * $signed(b[7:0]))};
    else p <= 32'($signed({SIGNED & a[15], a}) * $signed({SIGNED & b[15], b}));
`endif
endmodule

`ifdef ICE40
(* blackbox *)
module ICE40_PRODUCTS #(
  parameter HALVES = 0, SIGNED = 1
) (
  input  logic CLK,
  input  logic [15:0] A, B,
  output logic [31:0] O
);
endmodule
`endif
