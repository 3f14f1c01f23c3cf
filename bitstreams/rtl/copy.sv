// A register that synthesis keeps: copies near their readers, which would otherwise be merged again.
(* keep_hierarchy *)
module copy #(
  parameter int W = 1
) (
  input  logic clk,
  input  logic [W-1:0] d,
  output logic [W-1:0] q
);
  always_ff @(posedge clk) q <= d;
endmodule
