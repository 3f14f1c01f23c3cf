// Memory with one write port and one read port; data come two clocks after the address (the block RAM's output register).
// What is read where it is written in the same clock is not defined: nothing looks at it, and in simulation it is wrong.
module ram #(
  parameter int W = 32,
  parameter int DL = 9  // log2 of the depth
) (
  input  logic clk,
  input  logic we,
  input  logic [DL-1:0] wa,
  input  logic [W-1:0] wd,
  input  logic [DL-1:0] ra,
  output logic [W-1:0] rd
);
  (* no_rw_check *) logic [W-1:0] mem[0:(1<<DL)-1];
  logic [W-1:0] q;
  always_ff @(posedge clk) begin
    if (we) mem[wa] <= wd;
`ifdef SYNTHESIS
    q <= mem[ra];
`else
    q <= we && wa == ra ? ~mem[ra] : mem[ra];
`endif
    rd <= q;
  end
endmodule
